"""Visitors of a site who come back once when they were sent away, while something is done to its stack."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from tests.support.sites import Site

PLACE = "/run/visitors"
# One after the other, each page made by PHP. A request that fails is made once more, a second later.
SCRIPT = r"""
ask() {
    curl --silent --insecure --max-time 20 --output /dev/null --write-out '%%{http_code}' \
        --resolve '%(domain)s:%(port)s:127.0.0.1' "%(url)s/?visitor=$1"
}
while [ -e %(place)s/open ]; do
    number=$((number + 1))
    status=$(ask $number)
    if [ "$status" != 200 ]; then sleep 1; status="$status $(ask $number)"; fi
    echo "$status" >> %(place)s/log
    ps -eo args >> %(place)s/arguments
    sleep 0.2
done
touch %(place)s/closed
"""


class ReturningVisitors:
    """Requests of a site's front page, from the moment on in which the context is entered until it is left."""

    def __init__(self, host: Any, site: Site) -> None:
        self._host, self._site = host, site
        self.statuses: list[list[str]] = []
        """Of each request its status, and that of its repetition where it was repeated."""
        self.arguments = ""
        """The arguments of all processes of the machine, as they were again and again."""

    @property
    def failed(self) -> list[list[str]]:
        """Those that failed twice."""
        return [one for one in self.statuses if one[-1] != "200"]

    def __enter__(self) -> Self:
        """Let them in, and wait for the first."""
        site = self._site
        script = SCRIPT % {"domain": site.domain, "port": site.port, "url": site.url, "place": PLACE}
        self._host.check_output(f"rm -rf {PLACE} && mkdir {PLACE} && touch {PLACE}/open")
        self._host.check_output(f"printf '%%s' %s > {PLACE}/script", script)
        self._host.check_output(f"setsid sh {PLACE}/script > /dev/null 2>&1 < /dev/null &")
        self._wait_for("log")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let nobody in any more, wait for the last, and read what became of them."""
        self._host.check_output(f"rm {PLACE}/open")
        self._wait_for("closed")
        lines = self._host.check_output(f"cat {PLACE}/log").splitlines()
        self.statuses = [line.split() for line in lines]
        self.arguments = self._host.check_output(f"sort -u {PLACE}/arguments")

    def _wait_for(self, name: str, timeout: float = 60) -> None:
        end = time.monotonic() + timeout
        while not self._host.file(f"{PLACE}/{name}").exists:
            assert time.monotonic() < end, f"no visitor within {timeout} s"
            time.sleep(0.2)
