# SPDX-License-Identifier: MIT
"""Output of `make drift`: a table of what differs from what is declared, and the same as JSON."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: drift
type: stdout
short_description: What differs from what is declared, as a table and as JSON
description:
  - Made for playbooks/drift.yml, a check run of site.yml. What a run would change has drifted; it compares nothing.
  - The JSON document goes to the file that the environment variable C(PRESSDOCK_DRIFT_FILE) names.
  - It holds C(at), C(failed) (host to message), C(locked) (those of them on which another run works) and C(hosts), each
    with C(drift), a list of C(part), C(what), C(declared), C(running) and C(since). The last three are null where they
    are not known.
"""

STEP = re.compile(r"^(?P<what>.*?): (?P<running>\S.*) -> (?P<declared>\S.*)$")
COLUMNS = ("part", "what", "declared", "running", "since")
WIDTHS = {"part": 30, "what": 44, "declared": 34, "running": 34, "since": 20}


def row(part: str, what: str, declared: Any = None, running: Any = None, since: str | None = None) -> dict[str, Any]:
    """Return one difference."""
    return {"part": part, "what": what, "declared": declared, "running": running, "since": since}


def line_row(part: str, line: str) -> dict[str, Any]:
    """Read a line such as ``option blogname: "Old" -> "New"``; one of another form is what differs, as a whole."""
    step = STEP.match(line)
    return row(part, step["what"], step["declared"], step["running"]) if step else row(part, line)


def lines(message: Any) -> list[str]:
    """Return a debug task's message as lines."""
    return [str(line) for line in message] if isinstance(message, list) else str(message).splitlines()


def container_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read what `docker_container` would change: one row for each option that differs."""
    name = f"container {(result.get('item') or {}).get('name', '')}".strip()
    diff = result.get("diff") or {}
    before, after = diff.get("before") or {}, diff.get("after") or {}
    state = (result.get("container") or {}).get("State") or {}
    finished = str(state.get("FinishedAt") or "") if not state.get("Running") else ""
    since = None if not finished or finished.startswith("0001") else finished.partition(".")[0]
    found = [row(name, option, after[option], before.get(option), since) for option in sorted(after)]
    return found or [row(name, "as a whole")]


def rows(task: str, result: Mapping[str, Any], item: str) -> list[dict[str, Any]]:
    """Turn one task's (or one of its items') changed result into rows.

    :param task: its name, `role : Part | What`, or without the role.
    :param item: the label of the item, empty where there is no loop.
    """
    role, _, name = task.rpartition(" : ")
    part = "stack" if role in ("", "container") else role
    if "container" in result and isinstance(result.get("diff"), dict):
        return container_rows(result)
    if result.get("changes"):
        return [line_row(part, str(line)) for line in result["changes"]]
    # A task that only names what another one has found.
    if "msg" in result:
        part = f"site {item}" if role == "wordpress" and item else part
        # These name what they are about.
        part = item if role in ("problems", "certificates") and item else part
        return [line_row(part, line) for line in lines(result["msg"])]
    return [row(part, f"{name.rpartition(' | ')[2]}{f' ({item})' if item else ''}")]


def shown(value: Any) -> str:
    """Write a value for people: short, in one line, and never a whole document."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return textwrap.shorten(text, 300, placeholder=" ...")


def table(found: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as a table; columns that nothing stands in are left out."""
    cells = [{column: shown(entry[column]) for column in COLUMNS} for entry in found]
    columns = [column for column in COLUMNS if any(entry[column] for entry in cells)]
    widths = {c: min(WIDTHS[c], max(len(c), *(len(entry[c]) for entry in cells))) for c in columns}
    text = ["  ".join(column.upper().ljust(widths[column]) for column in columns).rstrip()]
    for entry in cells:
        wrapped = {c: textwrap.wrap(entry[c], widths[c], break_long_words=True) or [""] for c in columns}
        for number in range(max(len(part) for part in wrapped.values())):
            pieces = [(wrapped[c][number] if number < len(wrapped[c]) else "").ljust(widths[c]) for c in columns]
            text.append("  ".join(pieces).rstrip())
    return "\n".join(text)


class CallbackModule(CallbackBase):
    """See DOCUMENTATION."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "drift"

    def __init__(self) -> None:
        super().__init__()
        self._drift: dict[str, list[dict[str, Any]]] = {}
        self._failed: dict[str, str] = {}
        self._locked: set[str] = set()

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a changed task (a loop's items are noted one by one)."""
        if not result.task.loop:
            self._note(result, "")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Note a changed item of a loop."""
        self._note(result, "" if result.result.get("_ansible_no_log") else str(self._get_item_label(result.result)))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Say at once why a host could not be compared."""
        if not ignore_errors:
            message = str(result.result.get("msg") or result.result.get("stderr") or "no message")
            self._failed[result.host.get_name()] = f"{result.task.get_name()}: {message}"
            if result.result.get("locked"):
                self._locked.add(result.host.get_name())
            self._display.display(f"{result.host.get_name()}: {result.task.get_name()}:\n{message}", stderr=True)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Say that a host did not answer."""
        self._failed[result.host.get_name()] = str(result.result.get("msg") or "unreachable")
        self._display.display(f"{result.host.get_name()}: {self._failed[result.host.get_name()]}", stderr=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the tables, and write the file."""
        hosts = {host: self._drift.get(host, []) for host in sorted(stats.processed)}
        for host, found in hosts.items():
            if found:
                self._display.display(
                    f"{host}: {len(found)} difference{'' if len(found) == 1 else 's'}\n{table(found)}\n"
                )
            elif host not in self._failed:
                self._display.display(f"{host}: as declared")
        if file := os.environ.get("PRESSDOCK_DRIFT_FILE"):
            document = {
                "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "hosts": {host: {"drift": found} for host, found in hosts.items()},
                "failed": self._failed,
                "locked": sorted(self._locked),
            }
            temporary = Path(f"{file}.new")
            temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            temporary.replace(file)

    def _note(self, result: Any, item: str) -> None:
        if result.result.get("changed"):
            found = rows(result.task.get_name(), result.result, item)
            self._drift.setdefault(result.host.get_name(), []).extend(found)
