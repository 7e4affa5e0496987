"""A browser for Adminer, as far as logging in and sending forms goes, and the database server's console."""

from __future__ import annotations

import base64
import html
import http.client
import os
import re
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from tests.support.sites import declared_variables
from tests.support.stack import Container, Stack

DECLARED = declared_variables(Path(__file__).parents[1])
AUTHORITY = "/srv/harbour/authority/ca.crt"
DOMAIN, PORT, PATH = "tools.example.test", 8447, "/back/db/"


class Connection(http.client.HTTPSConnection):
    """A connection to the test instance under the name that its certificate is for."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__(DOMAIN, PORT, timeout=60)
        self._address, self._tls = address, context

    def connect(self) -> None:
        """Connect to the instance's address."""
        plain = socket.create_connection((self._address, PORT), 60)
        self.sock = self._tls.wrap_socket(plain, server_hostname=DOMAIN)


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def error(self) -> str:
        """What Adminer complains about."""
        found = re.search(r"<div class='error'>(.*?)</div>", self.text, re.DOTALL)
        return html.unescape(found[1]) if found else ""

    @property
    def token(self) -> str:
        """What Adminer expects with a form."""
        found = re.search(r"name='token' value='([0-9:]+)'", self.text)
        assert found, self.text[:2000]
        return found[1]

    @property
    def logged_in(self) -> bool:
        """Whether the page is one of somebody who has logged in to a database."""
        return "id='logout'" in self.text or 'id="logout"' in self.text


class Browser:
    """Keeps cookies and follows redirects, with the login of the web server."""

    def __init__(self, address: str, context: ssl.SSLContext, login: str | None) -> None:
        self.address, self.context, self.login = address, context, login
        self.cookies: dict[str, str] = {}

    def request(
        self, method: str, target: str, body: bytes | None = None, kind: str = "", *, follow: bool = True
    ) -> Page:
        """Send one request, and what it redirects to."""
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if self.login:
            sent["Authorization"] = "Basic " + base64.b64encode(self.login.encode()).decode()
        if kind:
            sent["Content-Type"] = kind
        connection = Connection(self.address, self.context)
        try:
            connection.request(method, target, body, sent)
            answer = connection.getresponse()
            page = Page(answer.status, answer.headers, answer.read().decode(errors="replace"))
        finally:
            connection.close()
        for line in page.headers.get_all("Set-Cookie") or []:
            cookie = SimpleCookie(line)
            self.cookies |= {name: morsel.coded_value for name, morsel in cookie.items()}
        location = page.headers.get("Location")
        if follow and location:
            return self.request("GET", urllib.parse.urljoin(target, location))
        return page

    def get(self, query: str = "") -> Page:
        """Ask for a page of Adminer."""
        return self.request("GET", PATH + query)

    def post(self, query: str, fields: dict[str, str] | list[tuple[str, str]]) -> Page:
        """Send a form."""
        body = urllib.parse.urlencode(fields).encode()
        return self.request("POST", PATH + query, body, "application/x-www-form-urlencoded")

    def log_in(self, user: str, password: str, query: str = "", **more: str) -> Page:
        """Send Adminer's login form, with more fields than it has, as an attacker would."""
        fields = {"username": user, "password": password, "db": "", **more}
        return self.post(query, {f"auth[{name}]": value for name, value in fields.items()})


Open = Callable[..., Browser]


@pytest.fixture(scope="session")
def address() -> str:
    """Return the address that the server listens on."""
    return (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "address").read_text().strip()


@pytest.fixture(scope="session")
def open_browser(stack: Stack, address: str) -> Open:
    """Return a function that opens a browser, by default with the web server's login.

    The first one that logs in there gets the cookie that exempts from the limit on guesses; the others have it as well.
    """
    context = ssl.create_default_context(cadata=stack.host.file(AUTHORITY).content_string)
    right = f"keeper:{DECLARED['adminer_password']}"
    first = Browser(address, context, right)
    assert first.get("").status == 200
    exempt = {"pressdock_adminer": first.cookies["pressdock_adminer"]}

    def opened(login: str | None = right) -> Browser:
        browser = Browser(address, context, login)
        browser.cookies |= exempt
        return browser

    return opened


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """Return the databases' passwords."""
    return {name: entry["password"] for name, entry in DECLARED["mariadb_databases"].items()}


@pytest.fixture(scope="session")
def sql(stack: Stack) -> Callable[[str], str]:
    """Return a function that runs SQL at the server's own console."""
    server = stack.container("mariadb")

    def run(statement: str) -> str:
        result = server.run("mariadb", "--batch", "--raw", "--skip-column-names", "-e", statement)
        assert result.rc == 0, result.stderr
        return str(result.stdout).strip()

    return run


@pytest.fixture(scope="session")
def adminer(stack: Stack) -> Container:
    """Return Adminer's container."""
    return stack.container("adminer")


@pytest.fixture
def harbour(open_browser: Open, passwords: dict[str, str], sql: Callable[[str], str]) -> Any:
    """Return a browser that is logged in to the first database, which has a table."""
    sql(
        "CREATE OR REPLACE TABLE harbour.boats (id INT PRIMARY KEY, name VARCHAR(100));"
        " INSERT INTO harbour.boats VALUES (1, 'Marie <b>'), (2, 'Möwe');"
    )
    browser = open_browser()
    page = browser.log_in("harbour", passwords["harbour"])
    assert page.logged_in, page.text
    return browser
