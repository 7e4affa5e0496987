"""Who may run: the lock's file and its rules."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from module_utils import run_lock


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return where the lock is to be."""
    return str(tmp_path / "lock")


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that stands for another run."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def mine() -> dict[str, Any]:
    """Describe the run that this process is."""
    return run_lock.this_run(os.getpid())


def holder(path: str) -> dict[str, Any]:
    """Read whose the lock is."""
    return dict(json.loads(Path(path).read_text()))


def test_the_first_one_gets_it_and_keeps_it(path: str) -> None:
    run = mine()
    assert run_lock.acquire(path, run, None, keep=False) is None
    assert run_lock.same(holder(path), run)
    assert run_lock.acquire(path, mine(), None, keep=False) is None, "its own second play"


def test_a_living_run_is_in_the_way(path: str, other: subprocess.Popen[bytes]) -> None:
    first = run_lock.this_run(other.pid)
    assert run_lock.acquire(path, first, None, keep=False) is None
    found = run_lock.acquire(path, mine(), None, keep=False)
    assert found is not None
    assert run_lock.same(found, first)
    assert run_lock.same(holder(path), first)
    assert str(other.pid) in run_lock.refusal("web-1", found)


def test_a_dead_run_is_not(path: str, other: subprocess.Popen[bytes]) -> None:
    run_lock.acquire(path, run_lock.this_run(other.pid), None, keep=False)
    other.kill()
    other.wait()
    assert run_lock.acquire(path, mine(), None, keep=False) is None
    assert run_lock.same(holder(path), mine())


def test_another_process_with_the_number_of_a_dead_run_is_not(path: str, other: subprocess.Popen[bytes]) -> None:
    old = {**run_lock.this_run(other.pid), "start": 1}
    Path(path).write_text(json.dumps(old))
    assert run_lock.acquire(path, mine(), None, keep=False) is None


def test_a_run_of_elsewhere_is_believed_to_live_until_somebody_knows_better(path: str) -> None:
    foreign = {**mine(), "machine": "laptop", "place": "another boot", "pid": 1}
    Path(path).write_text(json.dumps(foreign))
    assert run_lock.acquire(path, mine(), None, keep=False) == foreign
    assert run_lock.acquire(path, mine(), {**foreign, "start": 5}, keep=False) == foreign, "somebody else's death"
    assert run_lock.acquire(path, mine(), foreign, keep=False) is None


def test_a_run_of_elsewhere_ends_with_its_connection(path: str, other: subprocess.Popen[bytes]) -> None:
    described = run_lock.this_run(other.pid)
    session = {name: described[name] for name in ("pid", "start", "place")}
    foreign = {**mine(), "machine": "laptop", "place": "another boot", "pid": 1, "session": session}
    Path(path).write_text(json.dumps(foreign))
    assert run_lock.acquire(path, mine(), None, keep=False) == foreign
    other.kill()
    other.wait()
    assert run_lock.acquire(path, mine(), None, keep=False) is None


def test_half_a_lock_is_none(path: str) -> None:
    Path(path).write_text('{"machine": "lap')
    assert run_lock.acquire(path, mine(), None, keep=False) is None


def test_who_only_looks_writes_nothing(path: str, other: subprocess.Popen[bytes]) -> None:
    assert run_lock.acquire(path, mine(), None, keep=True) is None
    assert not Path(path).exists()
    run_lock.acquire(path, run_lock.this_run(other.pid), None, keep=False)
    before = holder(path)
    assert run_lock.acquire(path, mine(), None, keep=True) is not None
    other.kill()
    other.wait()
    assert run_lock.acquire(path, mine(), None, keep=True) is None
    assert holder(path) == before


def test_does_not_follow_a_link(path: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    Path(path).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        run_lock.acquire(path, mine(), None, keep=False)
    assert (tmp_path / "precious").read_text() == "x"


def test_a_process_is_read_whatever_its_name_is(tmp_path: Path) -> None:
    """The kernel puts the name between parentheses as it is."""
    program = tmp_path / "a) Z (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as started:
        try:
            for _ in range(100):
                found = run_lock.process(started.pid)
                if found and found["name"] == "a) Z (b":
                    break
                time.sleep(0.02)
            assert found is not None
            assert (found["pid"], found["parent"], found["name"]) == (started.pid, os.getpid(), "a) Z (b")
            ticks = os.sysconf("SC_CLK_TCK")
            uptime = float(Path("/proc/uptime").read_text().split()[0])
            assert 0 <= uptime - found["start"] / ticks < 60
            assert run_lock.runs(started.pid, found["start"])
            assert not run_lock.runs(started.pid, found["start"] + 1)
        finally:
            started.kill()
            # Dead, and nobody has asked for its end yet.
            os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)
            assert run_lock.process(started.pid) is None
    assert run_lock.process(started.pid) is None


def test_who_has_no_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr(getpass, "getuser", nobody)
    found = run_lock.this_run(os.getpid())
    assert found["user"] == str(os.getuid())
    assert found["start"] == run_lock.process(os.getpid())["start"]  # type: ignore[index]
    assert run_lock.this_run(2**22 + 1)["start"] == 0, "there is no such process"


def test_a_session_is_the_connection_s_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for among the parents; the first process of a machine ends the search, and so does one that is gone."""
    processes = {
        os.getpid(): {"name": "python3", "parent": 50, "start": 7},
        50: {"name": "sh", "parent": 40, "start": 6},
        40: {"name": "sshd-session", "parent": 30, "start": 5},
        30: {"name": "sshd", "parent": 1, "start": 4},
        1: {"name": "sshd", "parent": 0, "start": 1},
    }
    monkeypatch.setattr(run_lock, "process", processes.get)
    assert run_lock.session() == {"pid": 40, "start": 5, "place": run_lock.place()}
    processes[40] = {"name": "bash", "parent": 1, "start": 5}
    assert run_lock.session() is None
    del processes[40]
    assert run_lock.session() is None


def test_the_lock_names_the_session_it_came_by(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "session", lambda: {"pid": 40, "start": 5, "place": "here"})
    run_lock.acquire(path, mine(), None, keep=False)
    assert holder(path)["session"] == {"pid": 40, "start": 5, "place": "here"}


def test_a_shorter_name_leaves_nothing_of_a_longer_one(path: str) -> None:
    Path(path).write_text(json.dumps({**mine(), "user": "x" * 999, "start": 1}))
    assert run_lock.acquire(path, mine(), None, keep=False) is None
    assert run_lock.same(holder(path), mine())


def test_a_directory_that_is_not_there_is_an_error_unless_one_only_looks(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere/lock")
    assert run_lock.acquire(missing, mine(), None, keep=True) is None
    with pytest.raises(FileNotFoundError):
        run_lock.acquire(missing, mine(), None, keep=False)


def test_who_finds_a_lock_waits_for_whoever_writes_it(path: str) -> None:
    """Two runs that come at the same time."""
    with Path(path).open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        found: list[Any] = []
        waiting = threading.Thread(target=lambda: found.append(run_lock.acquire(path, mine(), None, keep=False)))
        waiting.start()
        waiting.join(0.1)
        assert waiting.is_alive()
        other = {**mine(), "machine": "laptop", "place": "another boot"}
        json.dump(other, file)
    waiting.join(10)
    assert found == [other]


class TestTaking:
    """How an action asks, in the name of the run whose process is its parent."""

    def take(self, *holders: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the result where the target finds these holders one after the other, and what it was asked."""
        asked: list[dict[str, Any]] = []

        def ask(arguments: dict[str, Any]) -> dict[str, Any]:
            asked.append(arguments)
            return {"holder": holders[len(asked) - 1], "changed": False}

        return run_lock.take(ask, "quay"), asked

    def test_is_in_the_name_of_the_run(self) -> None:
        result, asked = self.take(None)
        assert result == {"holder": None, "changed": False}
        assert asked == [{"run": asked[0]["run"]}]
        assert run_lock.same(asked[0]["run"], run_lock.this_run(os.getppid()))

    def test_is_refused_while_another_lives(self, other: subprocess.Popen[bytes]) -> None:
        alive = run_lock.this_run(other.pid)
        result, asked = self.take(alive)
        assert result == {"failed": True, "locked": True, "msg": run_lock.refusal("quay", alive)}
        assert len(asked) == 1

    def test_is_asked_again_over_one_that_is_dead(self) -> None:
        dead, foreign = {**mine(), "start": 0}, {**mine(), "machine": "laptop", "place": "another boot"}
        result, asked = self.take(dead, None)
        assert result == {"holder": None, "changed": False}
        assert asked[1] == {**asked[0], "over": dead}
        result, _ = self.take(dead, foreign)
        assert "on laptop" in result["msg"], "a third one was faster"
