"""An FTP client on an address of its own, for what must not count against the other clients' address.

Reads JSON from its argument: server, port, source address, login, password, whether to use TLS, commands, and files to
upload, name to content. Prints JSON: the answers, up to the first one that refuses, and after uploads a list of files.
"""

import ftplib
import io
import json
import socket
import ssl
import sys


class Client(ftplib.FTP_TLS):
    """Python's client, which continues the TLS session on data connections as other clients do."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """Open a data connection (over IPv6 by EPSV), with the session of the connection for commands."""
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321 -- FTP is the subject
        return self.context.wrap_socket(connection, session=self.sock.session), size  # type: ignore[union-attr]


def main() -> None:
    """Log in, send the commands, print the answers."""
    wanted = json.loads(sys.argv[1])
    answers: list[str] = []
    client: ftplib.FTP
    if wanted["tls"]:
        context = ssl.create_default_context(cafile=wanted["authority"])
        context.check_hostname = False
        client = Client(context=context)
    else:
        client = ftplib.FTP()  # noqa: S321 -- FTP is the subject
    try:
        answers.append(client.connect(wanted["server"], wanted["port"], 20, (wanted["source"], 0)))
        if wanted["login"]:
            answers.append(client.login(wanted["login"], wanted["password"]))
        answers.extend(client.sendcmd(command) for command in wanted["commands"])
        if isinstance(client, Client) and wanted["files"]:
            client.prot_p()
            for name, content in wanted["files"].items():
                answers.append(client.storbinary(f"STOR {name}", io.BytesIO(content.encode())))
            answers.append(" ".join(client.nlst()))
    except (ftplib.Error, OSError, EOFError) as error:
        answers.append(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps(answers))


main()
