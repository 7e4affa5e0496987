"""Who may run: the lock's file and its rules."""

from __future__ import annotations

import json
import os
import subprocess
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
