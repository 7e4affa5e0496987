"""The clients of this scenario's FTP server: Python's ftplib, from here and from other addresses."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.sites import VariablesLoader
from tests.support.stack import Container, Stack

DECLARED = Path(__file__).parents[1] / "group_vars" / "all.yml"
AUTHORITY = "/srv/harbour/authority/ca.crt"
ADDRESS_6 = "2001:db8:77::1"
PORT = 2100


class Client(ftplib.FTP_TLS):
    """Python's client, which continues the TLS session on data connections as other clients do."""

    reuse = True
    # The announced address and port are used as they are.
    trust_server_pasv_ipv4_address = True

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection, with the session of the connection for commands."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 -- FTP is the subject
        if self._prot_p:  # type: ignore[attr-defined]
            session = self.sock.session if self.reuse else None  # type: ignore[union-attr]
            connection = self.context.wrap_socket(connection, server_hostname=self.host, session=session)
        return connection, size

    def put(self, name: str, content: bytes, **arguments: Any) -> str:
        """Upload a file."""
        return self.storbinary(f"STOR {name}", io.BytesIO(content), **arguments)

    def get(self, name: str, **arguments: Any) -> bytes:
        """Download a file."""
        parts: list[bytes] = []
        self.retrbinary(f"RETR {name}", parts.append, **arguments)
        return b"".join(parts)


def leave(client: Client) -> None:
    """Close a session as a client does that is done, whatever its state."""
    with contextlib.suppress(ftplib.Error, EOFError, OSError, AttributeError):
        client.quit()
    client.close()


Connect = Callable[..., Client]


@pytest.fixture(scope="session")
def passwords() -> dict[str, str]:
    """Return the declared logins, name to password."""
    declared = yaml.load(DECLARED.read_text(), VariablesLoader)["ftp_logins"]  # noqa: S506 -- a subclass of SafeLoader
    return {name: entry["password"] for name, entry in declared.items()}


@pytest.fixture(scope="session")
def address() -> str:
    """Return the address that the server listens on."""
    return (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "address").read_text().strip()


@pytest.fixture
def context(stack: Stack) -> ssl.SSLContext:
    """Return what trusts the stack's authority alone."""
    return ssl.create_default_context(cadata=stack.host.file(AUTHORITY).content_string)


@pytest.fixture
def connect(context: ssl.SSLContext, address: str, passwords: dict[str, str]) -> Iterator[Connect]:
    """Return a function that logs in; what it opened is closed at the end."""
    with contextlib.ExitStack() as opened:

        def run(login: str = "harbour", *, protect: bool = True, reuse: bool = True, log_in: bool = True) -> Client:
            client = Client(context=context, timeout=20)
            client.reuse = reuse
            opened.callback(leave, client)
            # The name of the certificate, at the address of the test instance.
            client.connect(address, PORT)
            client.host = "harbour.example.test"
            if log_in:
                client.login(login, passwords[login])
                if protect:
                    client.prot_p()
            return client

        yield run


@pytest.fixture
def ftp(connect: Connect) -> Client:
    """Return a session of the first login."""
    return connect()


@pytest.fixture(scope="session")
def elsewhere(stack: Stack, address: str) -> Callable[..., list[str]]:
    """Return a function that talks to the server from another address, and returns the answers.

    The address is a number, or one of those of IPv6 that prepare.yml gives to the namespace of visitors.
    """

    def run(
        source: int | str,
        login: str = "",
        password: str = "",
        commands: tuple[str, ...] = (),
        *,
        tls: bool = True,
        files: dict[str, str] | None = None,
    ) -> list[str]:
        far = isinstance(source, str)
        wanted = {
            "server": ADDRESS_6 if far else address,
            "port": PORT,
            "source": source if far else f"198.51.100.{source}",
            "authority": AUTHORITY,
            "login": login,
            "password": password,
            "commands": list(commands),
            "tls": tls,
            "files": files or {},
        }
        command = f"{'ip netns exec visitors ' if far else ''}python3 /root/client.py %s"
        answers: list[str] = json.loads(stack.host.check_output(command, json.dumps(wanted)))
        return answers

    return run


@pytest.fixture(scope="session")
def server(stack: Stack) -> Container:
    """Return the server's container."""
    return stack.container("ftp")


@pytest.fixture(scope="session")
def php(stack: Stack) -> Callable[[str], str]:
    """Return a function that runs a shell command in the first site's files, as the user that PHP runs as."""

    def run(command: str) -> str:
        image = stack.container("nginx").inspect["Config"]["Image"]
        # The image's label would make it one of the stack's containers.
        words = "docker run --rm --user 613:613 --label pressdock.stack=none --network none"
        mount = "--volume quayside-site-harbour:/site --workdir /site"
        return str(stack.host.check_output(f"{words} {mount} %s sh -c %s", image, command))

    return run
