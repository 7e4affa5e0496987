"""The base image's `within`, which gives a health check its time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

WITHIN = Path(__file__).resolve().parents[2] / "roles/base_image/files/within"


def within(seconds: int, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a shell's script as a health check."""
    command = ["sh", str(WITHIN), str(seconds), "sh", "-c", script, "check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_success_is_told_at_once() -> None:
    begin = time.monotonic()
    done = within(20, "echo all well; echo and more >&2")
    assert (done.returncode, done.stdout) == (0, "all well\nand more\n")
    assert time.monotonic() - begin < 10


def test_asks_again_until_it_succeeds(tmp_path: Path) -> None:
    """The first two fail: what they said is not told."""
    script = 'echo "attempt" >> "$1"; [ "$(wc -l < "$1")" -ge 3 ] && echo here || { echo absent; exit 7; }'
    done = within(20, script, str(tmp_path / "attempts"))
    assert (done.returncode, done.stdout) == (0, "here\n")
    assert (tmp_path / "attempts").read_text(encoding="utf-8").splitlines() == ["attempt"] * 3


@pytest.mark.parametrize("status", [1, 2, 100])
def test_the_last_failure_is_told(status: int) -> None:
    """The engine knows 0 and 1."""
    begin = time.monotonic()
    done = within(1, f"echo refused; exit {status}")
    assert (done.returncode, done.stdout) == (1, "refused\n")
    assert time.monotonic() - begin >= 0.5


def test_what_does_not_answer_is_ended(tmp_path: Path) -> None:
    """With all that it has started; one answer that is slow has the whole time."""
    done = within(2, 'echo begun; sleep 60 & echo $! > "$1"; wait', str(tmp_path / "pid"))
    assert (done.returncode, done.stdout) == (1, "begun\nsh: no answer within 2 s\n")
    process = Path("/proc") / (tmp_path / "pid").read_text(encoding="utf-8").strip() / "stat"
    assert not process.exists() or process.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"


def test_tells_the_check_what_time_it_has() -> None:
    assert within(13, 'echo "$PROBE_TIMEOUT"').stdout == "13\n"


CONTAINER = """
import ctypes, json, os, pathlib, subprocess, sys, time
# As the first process of a container: what has lost its parent becomes its child, and it asks of none but its own.
ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)
check = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
if sys.argv[1] == "impatient":
    time.sleep(0.4)
    check.terminate()
check.wait()
left = []
for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
    try:
        name, _, rest = path.read_text(encoding="utf-8").rpartition(")")
    except OSError:
        continue
    if int(rest.split()[1]) == os.getpid():
        left.append(f"{name.partition('(')[2]} {rest.split()[0]}")
print(json.dumps([check.returncode, left]))
"""


def left_behind(script: str, *arguments: str, engine: str = "patient") -> tuple[int, list[str]]:
    """Run a check for a second in what stands for a container; return its status and what nobody has waited for."""
    command = [sys.executable, "-c", CONTAINER, engine, "sh", str(WITHIN), "1", "sh", "-c", script, "check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    status, left = json.loads(done.stdout)
    return status, left


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60",
        "sleep 60; sleep 60",
        "sleep 60 & sleep 60 & wait",
        # As Redis' check: a pipeline within a substitution, whose last part is in a process group of its own.
        'answer=$({ echo PING; sleep 60; } | timeout 60 sh -c "cat; sleep 60") || answer=none; echo "$answer"; exit 1',
        """sh -c 'sh -c "sleep 60; true"; true'; true""",
        # It does not listen.
        "trap '' TERM; sleep 60; sleep 60",
    ],
)
def test_check_that_takes_too_long_leaves_nothing_behind(script: str) -> None:
    """Neither running nor as a zombie: in a container it would stay, and count among the processes that it may have."""
    assert left_behind(script) == (1, [])


def test_check_that_is_asked_to_end_leaves_nothing_behind() -> None:
    assert left_behind("sleep 60; true", engine="impatient") == (1, [])


def test_test_sees_what_a_killed_parent_leaves() -> None:
    """Control of the test above."""
    status, left = left_behind("sleep 0.1 & kill -s KILL $$")
    assert status == 1
    assert len(left) >= 1


def test_names_of_processes_do_no_harm(tmp_path: Path) -> None:
    """Brackets and spaces in them look like another field."""
    program = tmp_path / "a) S 1 (b"
    program.symlink_to(shutil.which("sleep") or "")
    assert left_behind('"$1" 60; true', str(program)) == (1, [])
