#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Look for drift and leave the result where monitoring reads it: the report as JSON, its figures for Prometheus.

The timer of roles/drift_timer runs this. Each file is replaced in one step, and anybody may read it: like every output
of a run, it holds no secret. While another run works on a target nothing is replaced; that is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Python puts a script's own directory on its path, not the project.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from module_utils.whole_files import replace_file

PROJECT = Path(__file__).resolve().parents[1]
AS_DECLARED, DRIFTED, NOT_NOW = 0, 2, 3
"""What scripts/drift ends with."""

MODE = 0o644


def label(value: str) -> str:
    """Write a label's value as Prometheus reads it."""
    return '"' + value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def metrics(report: Mapping[str, Any], found_out: bool, at: float) -> str:
    """Write the figures in Prometheus's text format.

    :param report: the report, empty where there is none. A host that could not be compared has no count of differences.
    :param found_out: whether everything was compared.
    :param at: when, in seconds since 1970.
    """
    differences = {
        host: len(found["drift"])
        for host, found in (report.get("hosts") or {}).items()
        if found_out and host not in report["failed"]
    }
    lines = [
        "# HELP pressdock_drift_differences What differs on a host from what is declared.",
        "# TYPE pressdock_drift_differences gauge",
        *(f"pressdock_drift_differences{{host={label(host)}}} {count}" for host, count in sorted(differences.items())),
        "# HELP pressdock_drift_last_run_timestamp_seconds When everything was last compared, or could not be.",
        "# TYPE pressdock_drift_last_run_timestamp_seconds gauge",
        f"pressdock_drift_last_run_timestamp_seconds {at:.0f}",
        "# HELP pressdock_drift_success Whether that comparison could be made (1) or not (0).",
        "# TYPE pressdock_drift_success gauge",
        f"pressdock_drift_success {int(found_out)}",
    ]
    return "\n".join(lines) + "\n"


def publish(report_file: Path, metrics_file: Path, arguments: Sequence[str], project: Path = PROJECT) -> int:
    """Compare, and write what was found.

    :param arguments: further ones of ansible-playbook.
    :return: the exit status: 0 unless it could not be found out whether something differs.
    :raises OSError: when a file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="pressdock-") as folder:
        found = Path(folder) / "drift.json"
        command: list[str | Path] = [project / "scripts/drift", "--file", found, *arguments]
        status = subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode  # noqa: S603 -- no shell
        if status == NOT_NOW:
            return 0
        text = found.read_text(encoding="utf-8") if found.is_file() else ""
    found_out = bool(text) and status in (AS_DECLARED, DRIFTED)
    if text:
        replace_file(report_file, text.encode(), mode=MODE)
    figures = metrics(json.loads(text) if text else {}, found_out, time.time())
    replace_file(metrics_file, figures.encode(), mode=MODE)
    return 0 if found_out else 1


def main() -> int:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("report", type=Path, help="file for the report, as JSON")
    parser.add_argument("metrics", type=Path, help="file for the figures, in Prometheus's text format")
    parser.add_argument("arguments", nargs="*", help="further arguments of ansible-playbook, after --")
    given = parser.parse_args()
    return publish(given.report, given.metrics, given.arguments)


if __name__ == "__main__":
    sys.exit(main())
