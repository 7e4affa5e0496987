"""Sites of molecule/network as visitors see them, through the web server, and as their tables say."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

from filter_plugins.secrets import derive_secret
from tests.support.stack import Container, Stack
from tests.support.waiting import eventually
from tests.support.wordpress import ask_database, evaluate

PORT = 8446
ADDRESS = "198.51.100.1"


@dataclass(frozen=True)
class Answer:
    """One answer of the web server."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name.lower()]


@dataclass(frozen=True)
class Site:
    """One entry of wordpress_sites."""

    stack: Stack
    name: str
    key: str
    """The installation key, from which the passwords derive."""

    @property
    def container(self) -> Container:
        """The container of its PHP."""
        return self.stack.container(f"wordpress-{self.name}")

    @property
    def domain(self) -> str:
        """Its host name."""
        return f"{self.name}.example.test"

    def password(self, login: str) -> str:
        """Return a user's derived password."""
        return derive_secret(self.key, f"wordpress/{self.name}/{login}")

    def sql(self, statement: str) -> str:
        """Ask the database server."""
        return ask_database(self.stack, f"netz_{self.name}", statement)

    def plan_post(self, host: str = "", path: str = "/") -> int:
        """Plan a post for later and bring its time near: WordPress's own event has to publish it. Return its number."""
        later = "'post_title' => 'Morgen', 'post_status' => 'future', 'post_date' => '2099-01-01 00:00:00'"
        earlier = "['post_date' => '2020-01-01 00:00:00', 'post_date_gmt' => '2020-01-01 00:00:00']"
        number, status, *_ = self.wordpress(
            f"[$post = wp_insert_post([{later}]), get_post_status($post),"
            f" $GLOBALS['wpdb']->update($GLOBALS['wpdb']->posts, {earlier}, ['ID' => $post]),"
            " clean_post_cache($post),"
            " wp_clear_scheduled_hook('publish_future_post', [$post]),"
            " wp_schedule_single_event(time() - 1, 'publish_future_post', [$post])]",
            host,
            path,
        )
        assert status == "future", "control"
        return int(number)

    def post_appears(self, number: int, host: str = "", path: str = "/") -> bool:
        """Say whether a planned post is published, after some time."""
        return eventually(lambda: bool(self.wordpress(f"get_post_status({number})", host, path) == "publish"), 90)

    def wordpress(self, expression: str, host: str = "", path: str = "/") -> Any:
        """Let WordPress evaluate a PHP expression, as in a request of one of the site's addresses."""
        return evaluate(self.container, expression, f"{host or self.domain}:{PORT}", path)


@dataclass
class Visitor:
    """A browser with an address of its own, and a jar of cookies."""

    stack: Stack
    address: str

    def get(self, url: str, *options: str) -> Answer:
        """Ask for a page of the stack, by https."""
        host = url.split("/", maxsplit=1)[0].partition(":")[0]
        jar = f"/root/cookies.{self.address}"
        arguments = [
            "--silent", "--show-error", "--include", "--max-time", "60", "--interface", self.address,
            "--cacert", f"{self.stack.data_directory}/ca/ca.crt", "--resolve", f"{host}:{PORT}:{ADDRESS}",
            "--cookie", jar, "--cookie-jar", jar, *options, f"https://{host}:{PORT}/{url.partition('/')[2]}",
        ]  # fmt: skip
        text = str(self.stack.host.check_output("curl " + " ".join(["%s"] * len(arguments)), *arguments))
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        headers = [(key.lower(), value) for key, _, value in (line.partition(": ") for line in lines)]
        return Answer(int(first.split()[1]), headers, body)

    def log_in(self, url: str, login: str, password: str) -> Answer:
        """Send the login form of a site; `url` is the site's, with a slash at its end."""
        form = urllib.parse.urlencode({"log": login, "pwd": password, "testcookie": "1", "wp-submit": "x"})
        return self.get(f"{url}wp-login.php", "--cookie", "wordpress_test_cookie=WP%20Cookie%20check", "--data", form)


def title_of(answer: Answer) -> str:
    """Return the title of a page."""
    match = re.search(r"<title>(.*?)</title>", answer.body, re.DOTALL)
    assert match, answer
    return match[1]
