"""The sites of this scenario, as its tests ask them."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.stack import Container, Stack
from tests.support.wordpress import CORE, ask_database, evaluate


@dataclass(frozen=True)
class Site:
    """One site, asked through WordPress itself, through FPM and through SQL."""

    stack: Stack
    name: str
    prefix: str
    """Of its tables."""
    host: str = ""
    """Its host name, where that is not made of its name."""
    port: int = 8445

    @property
    def container(self) -> Container:
        """The container of its PHP."""
        return self.stack.container(f"wordpress-{self.name}")

    @property
    def domain(self) -> str:
        """Its host name."""
        return self.host or f"{self.name}.example.test"

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.domain}:{self.port}"

    def wordpress(self, expression: str) -> Any:
        """Let WordPress evaluate a PHP expression, as in a request of this site; returns what JSON can say of it."""
        return evaluate(self.container, expression, f"{self.domain}:{self.port}")

    def sql(self, statement: str) -> str:
        """Ask the database server."""
        return ask_database(self.stack, f"site_{self.name}", statement)

    def option(self, name: str) -> str:
        """Read an option as it is stored."""
        table = f"{self.prefix}options"
        return self.sql(f"SELECT option_value FROM {table} WHERE option_name = '{name}'")  # noqa: S608 -- a constant

    def ask(self, script: str = "/index.php", body: str = "", **parameters: str) -> str:
        """Ask FPM, as the web server would; returns headers and body."""
        self.container.forget()
        address = self.container.inspect["NetworkSettings"]["Networks"][f"{self.stack.name}-web-{self.name}"][
            "IPAddress"
        ]
        path = script if script.startswith("/tmp/") else CORE + script  # noqa: S108 -- of the container
        visited = "/" if script == "/index.php" else script
        given = {
            "REQUEST_URI": visited,
            "HTTP_HOST": f"{self.domain}:{self.port}",
            "SERVER_NAME": self.domain,
            **parameters,
        }
        words = [address, path, body, *(f"{name}={value}" for name, value in given.items())]
        command = "python3 /root/fastcgi.py " + " ".join(["%s"] * len(words))
        return str(self.stack.host.check_output(command, *words))

    def logs_in(self, login: str, password: str) -> bool:
        """Send the login form, and say whether WordPress takes it."""
        form = urllib.parse.urlencode({"log": login, "pwd": password, "testcookie": "1", "wp-submit": "x"})
        answer = self.ask("/wp-login.php", form, HTTP_COOKIE="wordpress_test_cookie=WP%20Cookie%20check")
        taken = "wordpress_logged_in_" in answer.partition("\r\n\r\n")[0]
        assert taken or "login_error" in answer, answer
        return taken


@pytest.fixture(scope="session")
def hafen(stack: Stack) -> Site:
    """Return the German site."""
    return Site(stack, "hafen", "hafen_")


@pytest.fixture(scope="session")
def laden(stack: Stack) -> Site:
    """Return the French site."""
    return Site(stack, "laden", "laden_")


@pytest.fixture(scope="session")
def brache(stack: Stack) -> Site:
    """Return the site that may be destroyed."""
    return Site(stack, "brache", "hafen_")
