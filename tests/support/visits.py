"""Visitors who ask for sites again and again, and note what they get: `python3 visits.py PLAN`, a Plan as JSON.

Runs on the host whose sites are visited (tests.support.visitors), so it needs nothing but Python's standard library. It
prints BEGUN once it is so. SIGTERM ends it: visitors take what they have asked for, then it
prints a Result as JSON.
"""

from __future__ import annotations

import collections
import dataclasses
import http.client
import itertools
import json
import signal
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

PAGE = "</html>"
"""What a whole page holds."""
BEGUN = "Every site has been asked for."
SLICE, SLOWNESS = 1 << 16, 0.02
"""Bytes that a visitor takes at once, and the seconds that a slow one waits then."""
CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Who visits what, and how."""

    address: str
    """Where all sites are, whatever their names resolve to."""
    port: int
    domains: list[str]
    authority: str = ""
    """File of the authority that certificates have to be of; without one any certificate will do."""
    new: int = 0
    """Visitors of each domain who open a connection for each request."""
    kept: int = 0
    """Those who keep theirs."""
    slow: int = 0
    """Those who keep theirs, and take `slow_path` a little at a time."""
    path: str = "/"
    slow_path: str = ""
    contains: str = PAGE
    """What every answer but those of `slow_path` holds; their whole length is asked of all that tell one."""
    unique: bool = False
    """Whether no two requests are for one address, so that nothing before a site's program can answer."""
    pause: float = 0.0
    """Seconds between an answer and the next request."""
    patience: float = 30.0
    """Seconds that an answer may take; of `slow_path`, each part of it."""
    repeat_after: float | None = None
    """Seconds after which a request that failed is made once more; by itself it is not."""


@dataclasses.dataclass(frozen=True)
class Outage:
    """A time without an answer."""

    start: float
    """When there was the last answer before (monotonic clock)."""
    end: float
    """When there was the first one after, or when nobody asked any more."""
    reason: str
    """Why the first request failed."""

    @property
    def length(self) -> float:
        """Seconds that it took."""
        return self.end - self.start


@dataclasses.dataclass(frozen=True)
class Result:
    """What visitors got."""

    asked: dict[str, int]
    """Requests for each domain, without repetitions."""
    answered: dict[str, int]
    """Those that were answered, at once or when they were repeated, by `new`, `kept` and `slow`."""
    asked_again: int
    """How often a connection that was kept turned out to be closed: no visitor sees that."""
    failures: dict[str, int]
    """How many requests failed at first, by domain, kind of visitor and reason."""
    lost: dict[str, int]
    """Those that were not repeated, or failed again."""
    outages: dict[str, list[Outage]]
    """Of the domains that had any."""

    @classmethod
    def read(cls, text: str) -> Result:
        """Read what the program has printed."""
        values = json.loads(text)
        outages = {domain: [Outage(**one) for one in found] for domain, found in values.pop("outages").items()}
        return cls(**values, outages=outages)


class Watch:
    """Notes when there is no answer, of however many visitors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._outages: list[Outage] = []
        self._lasting: tuple[float, str] | None = None
        """Start and reason of one that goes on."""

    def note(self, reason: str) -> None:
        """Note an answer, or why there was none."""
        with self._lock:
            now = time.monotonic()
            if reason:
                self._lasting = self._lasting or (self._last, reason)
                return
            if self._lasting:
                start, why = self._lasting
                self._outages.append(Outage(start, now, why))
            self._last, self._lasting = now, None

    def outages(self) -> list[Outage]:
        """Return all of them; one that goes on has lasted until now."""
        with self._lock:
            found = list(self._outages)
            if self._lasting:
                start, why = self._lasting
                found.append(Outage(start, time.monotonic(), why))
            return found

    def forget(self) -> None:
        """Forget those that are over."""
        with self._lock:
            self._outages.clear()


def trust(authority: str = "") -> ssl.SSLContext:
    """Return what believes certificates of an authority, or any certificate."""
    if authority:
        return ssl.create_default_context(cafile=authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Connection(http.client.HTTPSConnection):
    """A connection to an address, whatever the name that is asked for resolves to."""

    def __init__(self, place: tuple[str, int], domain: str, tls: ssl.SSLContext, patience: float) -> None:
        super().__init__(domain, place[1], timeout=patience, context=tls)
        self.patience = patience
        self._place, self._tls = place, tls

    def connect(self) -> None:
        """Open it."""
        plain = socket.create_connection(self._place, self.patience)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


class Client:
    """Somebody who asks over a connection of his own, for one thing after the other."""

    def __init__(self, connection: Connection, *, keeps: bool = False, slow: bool = False, contains: str = "") -> None:
        self.asked_again = 0
        self._connection = connection
        self._keeps, self._slow, self._contains = keeps, slow, contains.encode()

    def ask(self, path: str) -> str:
        """Ask once, and take the whole answer; returns why there was none, or nothing."""
        start = time.monotonic()
        try:
            reason = self._take(self._request(path))
        except (OSError, http.client.HTTPException) as error:
            reason = f"{type(error).__name__}: {error}"
        if not reason and not self._slow and time.monotonic() - start > self._connection.patience:
            reason = f"more than {self._connection.patience:g} s"
        if reason or not self._keeps:
            self.leave()
        return reason

    def leave(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, path: str) -> http.client.HTTPResponse:
        """Ask, on another connection where the one that was kept turns out to be closed.

        A server may close a connection that nobody is using; a client that learns of it when it asks asks again
        (RFC 9112, 9.3.1).
        """
        kept = self._connection.sock is not None
        try:
            self._connection.request("GET", path)
            return self._connection.getresponse()
        except CLOSED:
            if not kept:
                raise
        self.asked_again += 1
        self._connection.close()
        self._connection.request("GET", path)
        return self._connection.getresponse()

    def _take(self, answer: http.client.HTTPResponse) -> str:
        """Take an answer; returns what is wrong with it."""
        if answer.status != http.client.OK:
            return f"status {answer.status}"
        taken, body, length = 0, b"", answer.length
        while part := answer.read(SLICE):
            taken += len(part)
            if self._contains:
                body += part
            if self._slow:
                time.sleep(SLOWNESS)
        if length is not None and taken != length:
            return f"{taken} of {length} bytes"
        return "" if self._contains in body else f"no {self._contains.decode()} in {taken} bytes"


class Visits:
    """All visits of a plan, from their start to their end."""

    def __init__(self, plan: Plan) -> None:
        self._ended = threading.Event()
        self._plan = plan
        self._tls = trust(plan.authority)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._watches = {domain: Watch() for domain in plan.domains}
        self._asked: collections.Counter[str] = collections.Counter()
        self._answered = collections.Counter({"new": 0, "kept": 0, "slow": 0})
        self._failures: collections.Counter[str] = collections.Counter()
        self._lost: collections.Counter[str] = collections.Counter()
        self._asked_again = 0

    def until(self, end: signal.Signals) -> Result:
        """Let visitors in until a signal comes that is blocked, and say what they have got once they have gone."""
        plan = self._plan
        kinds = ["new"] * plan.new + ["kept"] * plan.kept + ["slow"] * plan.slow
        visitors = [(domain, kind) for domain in plan.domains for kind in kinds]
        with ThreadPoolExecutor(len(visitors)) as executor:
            visits = [executor.submit(self._visit, *visitor) for visitor in visitors]
            signal.sigwait({end})
            self._ended.set()
        for visit in visits:
            visit.result()
        return Result(
            asked=dict(self._asked),
            answered=dict(self._answered),
            asked_again=self._asked_again,
            failures=dict(self._failures),
            lost=dict(self._lost),
            outages={domain: found for domain, watch in self._watches.items() if (found := watch.outages())},
        )

    def _visit(self, domain: str, kind: str) -> None:
        plan = self._plan
        slow = kind == "slow"
        client = Client(
            Connection((plan.address, plan.port), domain, self._tls, plan.patience),
            keeps=kind != "new",
            slow=slow,
            contains="" if slow else plan.contains,
        )
        path = plan.slow_path if slow else plan.path
        while not self._ended.is_set():
            self._ask(client, domain, kind, f"{path}?visit={next(self._numbers)}" if plan.unique else path)
            self._ended.wait(plan.pause)
        client.leave()
        with self._lock:
            self._asked_again += client.asked_again

    def _ask(self, client: Client, domain: str, kind: str, path: str) -> None:
        """Ask once, and once more where that failed and is wanted; count it."""
        first = last = client.ask(path)
        self._watches[domain].note(first)
        if first and self._plan.repeat_after is not None:
            time.sleep(self._plan.repeat_after)
            last = client.ask(path)
            self._watches[domain].note(last)
        with self._lock:
            all_visited = len(self._asked) == len(self._watches)
            self._asked[domain] += 1
            if not all_visited and len(self._asked) == len(self._watches):
                sys.stdout.write(BEGUN + "\n")
                sys.stdout.flush()
            if first:
                self._failures[f"{domain}, {kind}: {first}"] += 1
            if last:
                self._lost[f"{domain}, {kind}: {last}"] += 1
            else:
                self._answered[kind] += 1


def main() -> None:
    """Visit what the plan names until SIGTERM comes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    result = Visits(Plan(**json.loads(sys.argv[1]))).until(signal.SIGTERM)
    sys.stdout.write(json.dumps(dataclasses.asdict(result)) + "\n")


if __name__ == "__main__":
    main()
