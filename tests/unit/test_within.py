"""The base image's `within`, which gives a health check its time."""

from __future__ import annotations

import subprocess
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
