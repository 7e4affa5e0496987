"""Visitors who ask all the time while a test does something to what they visit."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any, Self

LOG = "/root/visitors.log"

WEB_VISITOR = r"""
import http.client, pathlib, socket, ssl, sys, threading

authority, port, enough, *domains = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
asked, failed = [], []

def visit(domain):
    while not pathlib.Path(enough).exists():
        connection = http.client.HTTPConnection(domain, int(port), timeout=60)
        try:
            plain = socket.create_connection(("127.0.0.1", int(port)), 60)
            connection.sock = context.wrap_socket(plain, server_hostname=domain)
            # No page is as any other: nothing between the visitor and PHP can answer.
            connection.request("GET", f"/?visit={len(asked)}")
            answer = connection.getresponse()
            body = answer.read()
            problem = "" if answer.status == 200 and b"</html>" in body else f"status {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            problem = repr(error)
        finally:
            connection.close()
        asked.append(domain)
        if problem:
            failed.append(domain)
            print("failed:", domain, problem, flush=True)

threads = [threading.Thread(target=visit, args=[domain]) for domain in domains * 2]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(f"asked {len(asked)}, failed {len(failed)}, of {' '.join(sorted(set(asked)))}")
"""
"""Python program: authority, port, file whose existence ends the visits, domains."""


class Visitors:
    """Run a program on a host while the `with` block lasts; its last line is `asked N, failed N, of WORDS`."""

    def __init__(self, host: Any, program: str, enough: str) -> None:
        """Take the program, and what makes it end (shell commands)."""
        self._host = host
        self._program = program
        self._enough = enough
        self.asked = 0
        self.failed = -1
        self.words: list[str] = []
        self.output = ""

    def __enter__(self) -> Self:
        """Let them come, and wait for the first one."""
        self._host.check_output(f"rm -f {LOG}")
        self._host.check_output(f"setsid sh -c %s > {LOG} 2>&1 < /dev/null &", self._program)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let them go, and note how it was."""
        self._host.check_output(self._enough)
        waiting = f"for i in $(seq 700); do grep -q '^asked ' {LOG} && break; sleep 0.1; done; cat {LOG}"
        self.output = str(self._host.check_output(waiting))
        found = re.search(r"^asked (\d+), failed (\d+), of (.*)$", self.output, re.MULTILINE)
        assert found, self.output
        self.asked, self.failed, self.words = int(found[1]), int(found[2]), found[3].split()
