"""Visitors notice everything that goes wrong, and nothing else: they ask a server that misbehaves when it has to."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
import signal
import socket
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import background
from tests.support.background import Background
from tests.support.interruption import Visitor
from tests.support.visitors import Visitors
from tests.support.visits import SLICE, SLOWNESS, Plan, Result

FIRST, SECOND = "first.example.test", "second.example.test"
PAGE = b"<html>moored</html>"
LARGE = b"x" * (60 * SLICE)
RESET = "(ConnectionResetError|RemoteDisconnected): .*"
"""What Python's versions say of a connection that was reset."""


def make_certificate(folder: Path, *domains: str) -> Path:
    """Write a certificate that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = dt.datetime.now(dt.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternatives, critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "certificate.pem"
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form))
    return file


class Request(BaseHTTPRequestHandler):
    """One connection to the server, and what its behaviours may do with a request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Give the connection a number: a client's port may be another client's after it."""
        super().setup()
        self.connection_number = next(self.server.connections)

    def do_GET(self) -> None:
        self.server.note(self)
        self.server.behaviour(self)

    def page(self, body: bytes = PAGE, *, status: int = 200, length: int | None = None) -> None:
        """Answer; with another length than the body's the connection ends after it."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = length is not None

    def chunks(self, *parts: bytes, whole: bool = True) -> None:
        """Answer as PHP's pages are, of which nobody knows the length."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if whole:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = not whole

    def reset(self) -> None:
        """Drop the connection as a killed server does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def finish(self) -> None:
        """Say nothing of a connection that was dropped."""
        if self.connection.fileno() >= 0:
            super().finish()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A web server that notes who asks for what, and behaves as it is told."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behaviour: Callable[[Request], None] = Request.page
        self.certificate = certificate
        self.asked: list[tuple[float, str, str, int]] = []
        """Of each request its time, domain with port, path, and the connection's number."""
        self._changed = threading.Condition()
        self.connections = itertools.count()
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Speak TLS, in the thread of the connection."""
        with self._tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Leave connections to who has made them TLS's."""
        request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients who leave are part of the tests."""

    def note(self, request: Request) -> None:
        """Note a request, and wake who waits for it."""
        with self._changed:
            entry = (time.monotonic(), request.headers["Host"], request.path, request.connection_number)
            self.asked.append(entry)
            self._changed.notify_all()

    def wait(self, requests: int) -> None:
        """Wait until there were so many more requests from now on."""
        with self._changed:
            wanted = len(self.asked) + requests
            assert self._changed.wait_for(lambda: len(self.asked) >= wanted, 20)

    def plan(self, *domains: str, **options: Any) -> Plan:
        """Plan visits of this server."""
        port = int(self.server_address[1])
        return Plan("127.0.0.1", port, list(domains or (FIRST,)), str(self.certificate), **options)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return a server of pages for two domains."""
    with Server(make_certificate(tmp_path, FIRST, SECOND)) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return this machine, where `python3` is the Python of these tests."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    return testinfra.get_host("local://")


def visit(host: Any, server: Server, plan: Plan, requests: int = 20) -> Result:
    """Let visitors ask so often at least."""
    with Visitors(host, plan) as visitors:
        server.wait(requests)
    return visitors.result


def only(reasons: dict[str, int]) -> tuple[str, int]:
    """Return the one reason that there is, and how often."""
    assert len(reasons) == 1, reasons
    return next(iter(reasons.items()))


# --- What is well -----------------------------------------------------------------------------------------------------


def test_answers_are_counted(host: Any, server: Server) -> None:
    """Each domain has as many visitors of each kind; a kept connection is one for all requests of its visitor."""
    server.behaviour = lambda request: request.chunks(PAGE[:9], PAGE[9:])
    result = visit(host, server, server.plan(FIRST, SECOND, new=2, kept=1, unique=True), 100)
    assert set(result.asked) == {FIRST, SECOND}
    assert sum(result.asked.values()) == sum(result.answered.values()) == len(server.asked) >= 100
    assert (result.failures, result.lost, result.outages, result.asked_again) == ({}, {}, {}, 0)
    port = server.server_address[1]
    assert {name for _, name, _, _ in server.asked} == {f"{FIRST}:{port}", f"{SECOND}:{port}"}
    assert len({path for _, _, path, _ in server.asked}) == len(server.asked)
    assert len({connection for _, _, _, connection in server.asked}) == result.answered["new"] + 2
    assert result.answered["kept"] > 2


def test_block_begins_when_all_are_visited(host: Any, server: Server) -> None:
    """Whichever answer comes last."""
    answered = threading.Event()

    def answer(request: Request) -> None:
        if request.headers["Host"].startswith(SECOND) and not answered.wait(1):
            answered.set()
        request.page()

    server.behaviour = answer
    with Visitors(host, server.plan(FIRST, SECOND, new=1)):
        assert answered.is_set()


def test_visitors_pause(host: Any, server: Server) -> None:
    visit(host, server, server.plan(new=1, pause=0.2, path="/berth"), 4)
    times = [moment for moment, _, _, _ in server.asked]
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.2
    assert {path for _, _, path, _ in server.asked} == {"/berth"}


def test_slow_visitors_take_their_time(host: Any, server: Server) -> None:
    """Over a connection that they keep; no page is expected in what they take, and patience is for its parts."""
    server.behaviour = lambda request: request.page(LARGE if request.path == "/large" else PAGE)
    least = len(LARGE) / SLICE * SLOWNESS
    result = visit(host, server, server.plan(slow=1, slow_path="/large", patience=least - 0.2), 1)
    assert result.answered == {"new": 0, "kept": 0, "slow": len(server.asked)}
    assert result.failures == {}
    times = [moment for moment, _, _, _ in server.asked]
    assert min(later - earlier for earlier, later in pairwise(times)) >= least
    assert len({connection for _, _, _, connection in server.asked}) == 1


def test_what_was_asked_for_is_taken_to_its_end(host: Any, server: Server) -> None:
    """The last answer counts too, and comes after they were told to go."""
    gone = threading.Event()

    def late(request: Request) -> None:
        gone.wait(20)
        request.page()

    with Visitors(host, server.plan(new=1)) as visitors:
        server.behaviour = late
        server.wait(1)
        # Time enough for the program to end too early.
        threading.Timer(0.5, gone.set).start()
    assert visitors.result.failures == {}
    assert sum(visitors.result.asked.values()) == len(server.asked)


# --- What is not ------------------------------------------------------------------------------------------------------


def slowly(request: Request) -> None:
    """Answer too late, though each part comes soon."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(PAGE)))
    request.end_headers()
    for number in range(len(PAGE)):
        time.sleep(0.1)
        request.wfile.write(PAGE[number : number + 1])


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lambda request: request.page(status=503), "status 503"),
        (lambda request: request.page(length=99), "19 of 99 bytes"),
        (lambda request: request.page(b"<html>"), "no </html> in 6 bytes"),
        (lambda request: request.chunks(b"<html>"), "no </html> in 6 bytes"),
        (lambda request: request.chunks(PAGE, whole=False), r"IncompleteRead: IncompleteRead\(19 bytes read\)"),
        (Request.reset, RESET),
        (slowly, r"more than 1\.5 s"),
    ],
    ids=["status", "cut-off", "half-a-page", "half-a-page-of-php", "cut-off-page-of-php", "reset", "slowly"],
)
def test_failures_are_counted_with_their_reason(
    host: Any, server: Server, behaviour: Callable[[Request], None], reason: str
) -> None:
    server.behaviour = lambda request: (
        behaviour(request) if request.headers["Host"].startswith(FIRST) else request.page()
    )
    patience = 1.5 if behaviour is slowly else 30
    result = visit(host, server, server.plan(FIRST, SECOND, new=1, patience=patience))
    found, times = only(result.failures)
    assert re.fullmatch(f"{FIRST}, new: {reason}", found)
    assert result.lost == result.failures
    assert result.asked[FIRST] == times
    assert result.answered == {"new": result.asked[SECOND], "kept": 0, "slow": 0}
    assert list(result.outages) == [FIRST]


def test_slow_visitors_miss_the_end(host: Any, server: Server) -> None:
    server.behaviour = lambda request: request.page(length=99)
    result = visit(host, server, server.plan(slow=1), 2)
    assert only(result.lost)[0] == f"{FIRST}, slow: 19 of 99 bytes"


def test_certificate_of_another_authority_is_a_failure(host: Any, server: Server, tmp_path: Path) -> None:
    """Unless any will do."""
    plan = server.plan(new=1, pause=0.01)
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other", FIRST)
    with Visitors(host, replace(plan, authority=str(other))) as visitors:
        pass
    assert "self-signed certificate" in only(visitors.result.lost)[0]
    with Visitors(host, replace(plan, domains=["third.example.test"])) as visitors:
        pass
    assert "Hostname mismatch" in only(visitors.result.lost)[0]
    assert visit(host, server, replace(plan, authority="")).failures == {}


def test_nobody_listens(host: Any) -> None:
    with socket.socket() as nobody:
        # Bound, but nobody listens.
        nobody.bind(("127.0.0.1", 0))
        with Visitors(host, Plan("127.0.0.1", nobody.getsockname()[1], [FIRST], new=1, pause=0.01)) as visitors:
            pass
    assert only(visitors.result.lost)[0] == f"{FIRST}, new: ConnectionRefusedError: [Errno 111] Connection refused"


def test_outage_lasts_from_the_last_answer_to_the_next(host: Any, server: Server) -> None:
    """One that is not over when the visitors go has lasted until then."""
    answers: list[tuple[float, int]] = []
    statuses = [200]

    def answer(request: Request) -> None:
        status = statuses[-1]
        answers.append((time.monotonic(), status))
        request.page(status=status)

    server.behaviour = answer
    with Visitors(host, server.plan(new=1, pause=0.05)) as visitors:
        for status in (200, 502, 200, 503):
            statuses.append(status)
            server.wait(4)
        last = time.monotonic()
    good, bad, again, worse = ([moment for moment, _ in run] for _, run in groupby(answers, lambda one: one[1]))
    first, second = visitors.result.outages[FIRST]
    # A visitor takes note of an answer after it was given, and before it asks anew.
    assert good[-1] < first.start < bad[0]
    assert again[0] < first.end < again[1]
    assert again[-1] < second.start < worse[0]
    assert second.end > last
    assert (first.reason, second.reason) == ("status 502", "status 503")
    assert first.length == first.end - first.start


# --- What is asked once more ------------------------------------------------------------------------------------------


def test_failure_is_no_loss_when_its_repetition_succeeds(host: Any, server: Server) -> None:
    """It is for the same address, after a while."""
    failed: list[str] = []

    def sometimes(request: Request) -> None:
        fails = len(failed) < 3 and request.path not in failed
        if fails:
            failed.append(request.path)
        request.page(status=504 if fails else 200)

    server.behaviour = sometimes
    result = visit(host, server, server.plan(new=1, unique=True, repeat_after=0.2), 20)
    assert result.failures == {f"{FIRST}, new: status 504": 3}
    assert result.lost == {}
    assert result.asked == {FIRST: len(server.asked) - 3}
    assert result.answered["new"] == result.asked[FIRST]
    for path in failed:
        first, second = (moment for moment, _, asked, _ in server.asked if asked == path)
        assert second - first >= 0.2
    assert len(result.outages[FIRST]) == 3


def test_failure_is_a_loss_when_its_repetition_fails(host: Any, server: Server) -> None:
    """What the repetition failed with is told."""
    seen: set[str] = set()

    def never(request: Request) -> None:
        request.page(status=503 if request.path in seen else 502)
        seen.add(request.path)

    server.behaviour = never
    result = visit(host, server, server.plan(new=1, unique=True, repeat_after=0.1), 6)
    requests = result.asked[FIRST]
    assert len(server.asked) == 2 * requests
    assert result.failures == {f"{FIRST}, new: status 502": requests}
    assert result.lost == {f"{FIRST}, new: status 503": requests}
    assert result.answered["new"] == 0


def leave_quietly(request: Request) -> None:
    """Answer, and close the connection without having said so."""
    request.page()
    request.close_connection = True


def test_kept_connection_that_was_closed_is_no_failure(host: Any, server: Server) -> None:
    server.behaviour = leave_quietly
    result = visit(host, server, server.plan(kept=1, pause=0.01))
    assert result.failures == {}
    assert result.answered["kept"] == len(server.asked)
    assert result.asked_again == len(server.asked) - 1


def test_another_connection_that_is_closed_is_a_failure(host: Any, server: Server) -> None:
    """A kept one that turns out to be closed is asked again once: the new one has to answer."""
    answered: set[int] = set()

    def first_of_each(request: Request) -> None:
        if len(server.asked) > 3:
            request.reset()
        else:
            answered.add(request.client_address[1])
            request.page()

    server.behaviour = first_of_each
    result = visit(host, server, server.plan(kept=1))
    assert result.answered["kept"] == 3
    assert len(answered) == 1
    assert result.asked_again == 1
    reason, times = only(result.lost)
    assert re.fullmatch(f"{FIRST}, kept: {RESET}", reason)
    # The first of them was asked twice, once over the connection that was kept.
    assert times == len(server.asked) - 3 - 1


def test_kept_connection_that_ends_within_an_answer_is_a_failure(host: Any, server: Server) -> None:
    """Somebody would see that."""

    def within(request: Request) -> None:
        if len(server.asked) % 3:
            request.page()
        else:
            request.send_response(200)
            request.send_header("Content-Length", str(len(LARGE)))
            request.end_headers()
            request.wfile.write(LARGE[: SLICE * 2])
            request.reset()

    server.behaviour = within
    result = visit(host, server, server.plan(kept=1, contains=""))
    assert result.asked_again == 0
    assert sum(result.lost.values()) == len(server.asked) // 3


# --- On the controller ------------------------------------------------------------------------------------------------


def test_visitor_on_the_controller_asks_alike(server: Server) -> None:
    """For a whole page, by any certificate."""
    visitor = Visitor("127.0.0.1", int(server.server_address[1]), "third.example.test", path="/berth", pause=0.01)
    assert visitor.ask() == ""
    with visitor.visiting():
        assert visitor.wait(20)
        server.behaviour = lambda request: request.page(length=99)
        server.wait(2)
        server.behaviour = Request.page
        assert visitor.wait(20)
    assert [reason for _, reason in visitor.outages()] == ["19 of 99 bytes"]
    assert {(name, path) for _, name, path, _ in server.asked} == {
        (f"third.example.test:{server.server_address[1]}", "/berth")
    }


# --- Programs ---------------------------------------------------------------------------------------------------------


def test_program_runs_while_the_block_lasts(host: Any) -> None:
    """In a directory of its own, with its files; nothing of it is left."""
    command = ["sh", "-c", 'echo "process $$ $PWD"; cat what; while :; do sleep 0.05; done']
    program = Background(host, command, files={"what": "50% of 'it'\n"}, begun="50%", read="sort")
    with program:
        assert program.output == ""
    what, first = program.output.splitlines()
    _, process, folder = first.split()
    assert what == "50% of 'it'"
    status = Path(f"/proc/{process}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()
    assert not Path(folder).exists()


def test_program_is_ended_as_it_wants_to_be(host: Any, tmp_path: Path) -> None:
    """Also when the block fails."""
    enough = tmp_path / "enough"
    command = ["sh", "-c", f"echo begun; until [ -e {enough} ]; do sleep 0.05; done; echo ended"]
    program = Background(host, command, end=f"touch {enough}")
    with pytest.raises(ZeroDivisionError), program:
        raise ZeroDivisionError
    assert program.output == "begun\nended"


@pytest.mark.parametrize("begun", ["", "in order"])
def test_program_that_does_not_begin_is_told(host: Any, begun: str) -> None:
    command = ["sh", "-c", "echo out of order >&2" if begun else "exit 3"]
    program = Background(host, command, begun=begun)
    start = time.monotonic()
    with pytest.raises(AssertionError, match="sh has not begun: " + ("out of order" if begun else "$")), program:
        pytest.fail("the block began")
    assert time.monotonic() - start < background.BEGIN, "nobody waits for what has ended"


def test_program_that_does_not_end_is_told(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "END", 0.3)
    program = Background(host, ["sh", "-c", "echo $$; trap '' TERM; while :; do sleep 0.05; done"])
    with pytest.raises(AssertionError, match=r"sh does not end: \d"), program:
        pass
    os.kill(int(program.output), signal.SIGKILL)


def test_error_of_the_visitors_program_is_no_result(host: Any, server: Server) -> None:
    """Of one of its threads as well, which ends the visits of one visitor."""
    with Visitors(host, server.plan(new=2, pause="soon")) as visitors:
        pass
    with pytest.raises(AssertionError, match="TypeError"):
        assert visitors.result
