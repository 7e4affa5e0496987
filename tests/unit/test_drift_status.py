"""What scripts/drift ends with: nothing differs, something does, nobody knows, not now."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.runs import PROJECT

ROW = {"part": "stack", "what": "x", "declared": None, "running": None, "since": None}

NO_HOST: dict[str, Any] = {"at": "", "hosts": {}, "failed": {}, "locked": []}


def document(drift: int = 0, failed: tuple[str, ...] = (), locked: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a report on two hosts."""
    hosts = {"pier": {"drift": [ROW] * drift}, "quay": {"drift": []}}
    return {"at": "", "hosts": hosts, "failed": dict.fromkeys(failed, "why"), "locked": list(locked)}


@pytest.mark.parametrize(
    ("played", "report", "status"),
    [
        (0, document(), 0),
        (0, document(drift=1), 2),
        (2, document(drift=1, failed=("quay",)), 1),
        (2, document(failed=("quay",), locked=("quay",)), 3),
        (2, document(failed=("pier", "quay"), locked=("quay",)), 1),
        (4, document(), 1),
        (1, None, 1),
        (0, None, 1),
        (0, NO_HOST, 1),
    ],
    ids=[
        "as declared",
        "drift",
        "failed",
        "locked",
        "locked and failed",
        "no reason",
        "nothing played",
        "no report",
        "no host",
    ],
)
def test_exit_status(tmp_path: Path, played: int, report: dict[str, Any] | None, status: int) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(PROJECT / "scripts/drift", tmp_path / "scripts")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    (tmp_path / "given.json").write_text(json.dumps(report))
    play = tmp_path / "scripts/play"
    write = 'cp given.json "$PRESSDOCK_DRIFT_FILE"' if report else "true"
    play.write_text(f'#!/bin/sh\n{write}\necho "$@" > arguments\nexit {played}\n')
    play.chmod(0o755)
    file = tmp_path / "drift.json"
    # Of another time: it says nothing about this one.
    file.write_text(json.dumps(document(drift=5)))
    done = subprocess.run(
        [tmp_path / "scripts/drift", "--file", file, "--limit=pier"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    assert ("no host of the group stack" in done.stderr) is (report is NO_HOST)
    assert (tmp_path / "arguments").read_text() == "playbooks/drift.yml --check --diff --limit=pier\n"
    assert json.loads(file.read_text()) == (report or document(drift=5))
