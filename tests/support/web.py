"""A visitor of a stack's web server: curl on the target, whatever names resolve to elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    version: str
    status: int
    headers: dict[str, str]
    body: str

    @property
    def parameters(self) -> dict[str, str]:
        """What the stand-in for PHP was given."""
        return dict(line.split("=", 1) for line in self.body.splitlines() if "=" in line)

    @property
    def is_from_php(self) -> bool:
        """Whether the stand-in for PHP answered."""
        return "x-responder" in self.headers


@dataclass(frozen=True)
class Web:
    """A visitor of the server."""

    host: Any
    server: str
    """Address that the server listens on."""
    port: int
    domain: str
    """Host name that is asked for unless another one is given."""
    authority: str
    """Path of the certificate authority, on the target."""
    address: str
    """Address that the visitor comes from unless another one is given."""

    def curl(self, url: str, *arguments: str, source: str = "") -> Any:
        """Run curl on the instance, whatever the name resolves to elsewhere."""
        words = [
            *("--silent", "--show-error", "--max-time", "20", "--path-as-is", "--cacert", self.authority),
            *("--interface", source or self.address, "--connect-to", f"::{self.server}:", *arguments, url),
        ]
        return self.host.run("curl " + " ".join(["%s"] * len(words)), *words)

    def get(self, path: str, *arguments: str, domain: str = "", source: str = "") -> Answer:
        """Ask for a path of a site."""
        return self.ask(f"https://{domain or self.domain}:{self.port}{path}", *arguments, source=source)

    def ask(self, url: str, *arguments: str, source: str = "") -> Answer:
        """Ask for a whole address; the last answer counts (there may be a 100 before it)."""
        result = self.curl(url, "--include", *arguments, source=source)
        assert result.rc == 0, result.stderr
        text = result.stdout.replace("\r\n", "\n")
        head, _, body = text.partition("\n\n")
        while head.split()[1] == "100":
            head, _, body = body.partition("\n\n")
        first, *lines = head.splitlines()
        version, status = first.split()[:2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return Answer(version, int(status), headers, body)

    def statuses(self, paths: list[str], *arguments: str, domain: str = "", source: str = "") -> list[str]:
        """Ask for many paths over one connection; each result is `STATUS` or `STATUS php`."""
        urls = [
            word
            for path in paths
            for word in ("--output", "/dev/null", f"https://{domain or self.domain}:{self.port}{path}")
        ]
        result = self.curl(urls.pop(), *urls, "--write-out", "%{http_code} %header{x-responder}\\n", *arguments,
                           source=source)  # fmt: skip
        assert result.rc == 0, result.stderr
        return [re.sub(" [a-z]+$", " php", line).strip() for line in result.stdout.splitlines()]
