"""The module that asks the engine how it is: engines that are silent, late or hung, and libraries that are missing."""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from module_utils import libraries
from tests.support.load import load

engine_ask = load("roles/docker/library/engine_ask.py")

OURS = "pressdock.engine=0123456789abcdef"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Stands for the engine."""

    daemon_threads = True


@contextmanager
def engine(path: Path, status: int = 200, **info: Any) -> Iterator[None]:
    """Let an engine answer at a socket."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(info).encode())

        def address_string(self) -> str:
            return "local"

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    """Return where the engine would be."""
    return tmp_path / "docker.sock"


def test_engine_that_answers_is_ready(socket: Path) -> None:
    with engine(socket, Labels=[OURS], ServerVersion="26.1", Name="harbour"):
        found = engine_ask.await_engine(str(socket), OURS, 0)
    assert found["ready"]
    nothing = dict.fromkeys(["DefaultAddressPools", "DockerRootDir", "Driver"])
    assert found["info"] == {"Labels": [OURS], "ServerVersion": "26.1", **nothing}
    assert found["reason"] == ""


@pytest.mark.parametrize("labels", [None, [], ["pressdock.engine=another"]])
def test_engine_with_another_configuration_is_not_ready(socket: Path, labels: list[str] | None) -> None:
    with engine(socket, Labels=labels):
        found = engine_ask.await_engine(str(socket), OURS, 0)
        assert engine_ask.await_engine(str(socket), "", 0)["ready"]
    assert (found["ready"], found["reason"]) == (False, "It answers with another configuration.")
    assert found["info"]["Labels"] == labels


def test_reason_of_silence_is_told(socket: Path) -> None:
    found = engine_ask.await_engine(str(socket), "", 0)
    assert (found["ready"], found["info"]) == (False, None)
    assert found["reason"] == f"{socket}: No such file or directory"
    with engine(socket, status=500, message="no space left on device"):
        assert "500" in engine_ask.await_engine(str(socket), "", 0)["reason"]
        assert "no space left" in engine_ask.await_engine(str(socket), "", 0)["reason"]
    socket.unlink()
    socket.touch()
    assert "refused" in engine_ask.await_engine(str(socket), "", 0)["reason"]


def test_engine_that_comes_late_is_waited_for(socket: Path) -> None:
    def late() -> None:
        time.sleep(1.2)
        with engine(socket, Labels=[OURS]):
            time.sleep(5)

    threading.Thread(target=late, daemon=True).start()
    found = engine_ask.await_engine(str(socket), OURS, 30)
    assert found["ready"]
    assert 1 <= found["waited"] <= 4


@pytest.mark.parametrize("hangs", [False, True])
def test_patience_is_in_seconds(socket: Path, hangs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one clock, however long a single answer takes."""
    if hangs:

        def answer(path: str, question: str, timeout: float) -> Any:  # noqa: ARG001 -- the name is the interface's
            time.sleep(timeout)
            raise TimeoutError("timed out")

        monkeypatch.setattr(engine_ask, "answer", answer)
    begin = time.monotonic()
    found = engine_ask.await_engine(str(socket), "", 2)
    assert not found["ready"]
    assert 1.9 <= time.monotonic() - begin < 5
    assert found["waited"] == round(time.monotonic() - begin)


def test_missing_libraries_are_told_without_importing_them() -> None:
    assert libraries.missing(["json", "pressdock_of_nobody", "requests"]) == ["pressdock_of_nobody"]
    assert libraries.interpreter() == {"path": sys.executable, "packaged": False}


def test_python_of_the_distribution_is_told_by_where_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, "/usr/lib/python3/dist-packages"])
    assert libraries.interpreter()["packaged"]
