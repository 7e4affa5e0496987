"""What the tests of the database server share: its console, and a client elsewhere on its network."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.stack import Container, Stack

DECLARED = Path(__file__).parents[1] / "group_vars" / "all.yml"


class Loader(yaml.SafeLoader):
    """Reads Ansible's !unsafe as the string it is."""


def plain(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    """Read a scalar as text."""
    return str(loader.construct_scalar(node))


Loader.add_constructor("!unsafe", plain)


class Server:
    """The database server of the stack, asked at its own console."""

    def __init__(self, host: Any, container: Container) -> None:
        self.host = host
        self.container = container

    def query(self, statements: str, *options: str) -> list[list[str]]:
        """Run statements as root through the socket; return the rows, each a list of columns."""
        result = self.container.run("mariadb", "--batch", "--raw", "--skip-column-names", *options, "-e", statements)
        assert result.rc == 0, result.stderr
        return [line.split("\t") for line in result.stdout.splitlines()]

    def value(self, expression: str) -> str:
        """Return the value of one expression."""
        return self.query(f"SELECT {expression}")[0][0]

    def signal(self, name: str) -> None:
        """Send a signal to the server as the machine does, behind the engine's back."""
        self.container.forget()
        self.host.check_output("kill -%s %s", name, str(self.container.main_pid))

    def wait_for_restart(self, restarts: int, timeout: float) -> None:
        """Wait until the engine has noticed a crash and counts more restarts than these."""
        start = time.monotonic()
        while True:
            self.container.forget()
            if self.container.inspect["RestartCount"] > restarts and self.container.state["Running"]:
                return
            assert time.monotonic() - start < timeout, f"not restarted within {timeout} s"
            time.sleep(0.2)

    def wait_for_health(self, status: str, timeout: float) -> float:
        """Wait until the engine reports this health; return the seconds that it took."""
        start = time.monotonic()
        while True:
            self.container.forget()
            health = self.container.health if self.container.state["Running"] else "not running"
            if health == status:
                return time.monotonic() - start
            assert time.monotonic() - start < timeout, f"{health} instead of {status} after {timeout} s"
            time.sleep(0.5)


class Client:
    """A container of its own on one of the server's networks, as WordPress is."""

    name = "elsewhere"

    def __init__(self, host: Any) -> None:
        self.host = host

    def run(self, user: str, password: str | None, statements: str, *options: str, peer: str = "mariadb") -> Any:
        """Run statements over TCP; the password travels in the environment, exactly as it is."""
        words = ["mariadb", "-h", peer, "--protocol=tcp", "-u", user, "-N", "-B", "-r", *options, "-e", statements]
        placeholders = " ".join(["%s"] * len(words))
        if password is None:
            return self.host.run(f"docker exec %s {placeholders}", self.name, *words)
        return self.host.run(f"MYSQL_PWD=%s docker exec -e MYSQL_PWD %s {placeholders}", password, self.name, *words)


@pytest.fixture(scope="session")
def server(stack: Stack) -> Server:
    """Return the database server."""
    return Server(stack.host, stack.container("mariadb"))


@pytest.fixture(scope="module")
def client(stack: Stack, server: Server) -> Iterator[Client]:
    """Run a client; it is gone before other modules count containers."""
    image = json.loads(stack.host.check_output("docker inspect %s", server.container.name))[0]["Config"]["Image"]
    # The image's label would make it one of the stack's containers.
    stack.host.check_output(
        "docker run --detach --rm --name %s --label pressdock.stack=none --network quayside-database-pier %s sleep 900",
        Client.name,
        image,
    )
    yield Client(stack.host)
    stack.host.check_output("docker rm --force %s", Client.name)


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """Return the declared databases: name, which is also the user's, to password."""
    declared = yaml.load(DECLARED.read_text(), Loader)["mariadb_databases"]  # noqa: S506 -- a safe loader
    return {name: entry["password"] for name, entry in declared.items()}
