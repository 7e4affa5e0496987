"""Redis as its users and strangers reach it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from filter_plugins.secrets import derive_secret
from tests.support.sites import VariablesLoader
from tests.support.stack import Container, Stack

DECLARED = Path(__file__).parents[1] / "group_vars" / "all.yml"


@pytest.fixture(scope="session")
def passwords(installation_key: str) -> dict[str, str]:
    """Return the users' passwords, the server's own included."""
    declared = yaml.load(DECLARED.read_text(), VariablesLoader)["redis_users"]  # noqa: S506 -- a safe loader
    own = {name: derive_secret(installation_key, f"redis/{name}") for name in ("health-check", "drift-check")}
    return {name: user["password"] for name, user in declared.items()} | own


@pytest.fixture(scope="session")
def server(stack: Stack) -> Container:
    """Return the server's container."""
    return stack.container("redis")


def address(stack: Stack, server: Container, network: str) -> str:
    """Return the server's address on one of its networks."""
    server.forget()
    return str(server.inspect["NetworkSettings"]["Networks"][f"{stack.name}-{network}"]["IPAddress"])


@pytest.fixture(scope="session")
def talk(stack: Stack, server: Container) -> Callable[..., Any]:
    """Return a function that connects on one network, logs in where a login is given, and sends commands."""

    def run(
        login: tuple[str, str] | None, *commands: str | list[str], network: str = "cache-harbour", **more: Any
    ) -> Any:
        words = [command.split() if isinstance(command, str) else command for command in commands]
        wanted = {"address": address(stack, server, network), "login": login, "commands": words, **more}
        return json.loads(stack.host.check_output("python3 /root/client.py %s", json.dumps(wanted)))

    return run


@pytest.fixture(scope="session")
def ask(talk: Callable[..., Any], passwords: dict[str, str]) -> Callable[..., Any]:
    """Return a function that sends commands as a user; returns the answers without that to the login."""

    def run(user: str, *commands: str | list[str], **more: Any) -> Any:
        answers = talk((user, passwords[user]), *commands, **more)
        if "repeat" in more:
            return answers
        assert answers[0] == "OK", answers
        return answers[1:]

    return run


@pytest.fixture
def stay(stack: Stack, server: Container) -> Iterator[Callable[[str, str], Callable[[], list[Any]]]]:
    """Return a function that logs a user in on its own network and has it ask again and again on that one connection.

    What it returns ends that, and tells how often it asked, and the last answer.
    """
    enough = "/root/enough"
    stack.host.check_output("rm -f %s", enough)

    def run(user: str, password: str) -> Callable[[], list[Any]]:
        log = f"/root/{user}.log"
        wanted = {
            "address": address(stack, server, f"cache-{user}"),
            "login": [user, password],
            "commands": [["PING"]],
            "until": enough,
        }
        stack.host.check_output(
            f"setsid python3 /root/client.py %s > {log} 2>&1 < /dev/null &",
            json.dumps(wanted),
        )

        def told() -> list[Any]:
            stack.host.check_output("touch %s", enough)
            waiting = f"for i in $(seq 150); do test -s {log} && break; sleep 0.1; done; cat {log}"
            return list(json.loads(stack.host.check_output(waiting)))

        return told

    yield run
    stack.host.check_output("touch %s", enough)
