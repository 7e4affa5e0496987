"""An FTP client on an address of its own, for what must not count against the other clients' address.

Reads JSON from its argument: server, port, source address, login, password, whether to use TLS, commands. Prints JSON:
the answers, up to the first one that refuses.
"""

import ftplib
import json
import ssl
import sys


def main() -> None:
    """Log in, send the commands, print the answers."""
    wanted = json.loads(sys.argv[1])
    answers: list[str] = []
    client: ftplib.FTP
    if wanted["tls"]:
        context = ssl.create_default_context(cafile=wanted["authority"])
        context.check_hostname = False
        client = ftplib.FTP_TLS(context=context)  # noqa: S321 -- FTP is the subject
    else:
        client = ftplib.FTP()  # noqa: S321 -- FTP is the subject
    try:
        answers.append(client.connect(wanted["server"], wanted["port"], 20, (wanted["source"], 0)))
        if wanted["login"]:
            answers.append(client.login(wanted["login"], wanted["password"]))
        answers.extend(client.sendcmd(command) for command in wanted["commands"])
    except (ftplib.Error, OSError, EOFError) as error:
        answers.append(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps(answers))


main()
