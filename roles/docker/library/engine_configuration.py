#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Merge options into the engine's configuration, judged by the engine's program first, and go back where they fail."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: engine_configuration
short_description: Merge options into the engine's configuration file, and go back
description:
  - What is declared is merged into C(/etc/docker/daemon.json). Keys of others stay; a key that was declared leaves when
    it no longer is. C(/etc/docker/pressdock.json) remembers which ones were.
  - C(dockerd) judges the new file before it is put in place. One that it refuses changes nothing.
  - A file whose engine has not answered yet can be replaced by the one before it, by this run or, where that was
    killed, by a later one.
options:
  step:
    description:
      - V(look) tells what is there.
      - V(place) puts the new file in place.
      - V(settle) notes that the engine runs with it.
      - V(back) puts the former file back, of a new one that was not settled.
    type: str
    choices: [look, place, settle, back]
    required: true
  declared:
    description: The declared options.
    type: dict
    default: {}
  label:
    description: Label of the engine which tells what it was started with. It replaces any other one of its kind.
    type: str
    default: ""
  labels:
    description: Those of the engine that runs; none where it does not answer.
    type: list
    elements: str
    default: []
  flags:
    description: What the engine's program is started with besides; an option may not be among both.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: partial
    details: An engine before 23.0 is not asked in a check run, for it cannot judge a file without making directories.
  diff_mode:
    support: full
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Let the engine resolve names elsewhere
  engine_configuration:
    step: place
    declared: {dns: [192.0.2.53]}
    label: pressdock.engine=0123456789abcdef
  become: true
"""

RETURN = r"""
installed:
  description: Whether the engine's program is there.
  returned: for the step V(look)
  type: bool
ours:
  description: Whether the file is one that this module has written.
  returned: for the step V(look)
  type: bool
dropped:
  description: Keys of others that the engine does not know, and with which it would not start. They are left out.
  returned: for the step V(place)
  type: list
  elements: str
restored:
  description: Whether the former file is back.
  returned: for the step V(back)
  type: bool
"""

import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.whole_files import make_directory, replace_file

FILE = Path("/etc/docker/daemon.json")
RECORD = Path("/etc/docker/pressdock.json")
MODE = 0o644
LABEL = "pressdock.engine="
PROGRAMS = "/usr/sbin:/usr/bin"
PATIENCE = 30
"""Seconds in which a program judges a file: it reads it, and ends."""
PID_FILE_FOUND = "pid file found"
UNKNOWN_FLAG = "unknown flag: --validate"

Options = dict[str, Any]


class RefusedError(Exception):
    """The file cannot be what is declared; nothing was changed."""


def without(options: Options, ours: Options) -> Options:
    """Return options without those that were ours, whatever their value is by now; of labels only those."""
    kept = {}
    for name, value in options.items():
        if name == "labels" and isinstance(value, list):
            rest: Any = [one for one in value if one not in (ours.get(name) or []) and not str(one).startswith(LABEL)]
        elif name in ours and isinstance(value, dict) and isinstance(ours[name], dict):
            rest = without(value, ours[name])
        elif name in ours:
            continue
        else:
            kept[name] = value
            continue
        if rest:
            kept[name] = rest
    return kept


def combined(options: Options, further: Options) -> Options:
    """Return options with further ones over them; labels are those of both."""
    result = dict(options)
    for name, value in further.items():
        if name == "labels" and isinstance(value, list):
            result[name] = list(dict.fromkeys([*(result.get(name) or []), *value]))
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = combined(result[name], value)
        else:
            result[name] = value
    return result


def parsed(text: str) -> Options | None:
    """Return the options that a file holds; nothing where it holds none that can be read."""
    try:
        options = json.loads(text.strip() or "{}")
    except ValueError:
        return None
    return options if isinstance(options, dict) else None


def written(options: Options) -> str:
    """Return the text of the file that holds these options."""
    return json.dumps(options, indent=4, sort_keys=True) + "\n"


def own_label(options: Options) -> str:
    """Return the label by which an engine tells that it was started with this file of ours."""
    labels = options.get("labels")
    found = [str(label) for label in labels if str(label).startswith(LABEL)] if isinstance(labels, list) else []
    return found[0] if found else ""


def unknown_keys(reason: str) -> list[str]:
    """Return the keys of which the engine's program has said that it does not know them."""
    found = re.search(r"don't match any configuration option: (.+)", reason)
    return [name.strip() for name in found[1].split(",")] if found else []


def said(command: list[str]) -> tuple[int, str]:
    """Run a program to its end; return its exit status and what it has said, without its log."""
    try:
        done = subprocess.run(  # noqa: S603
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return 1, f"It has not ended within {PATIENCE} s."
    return done.returncode, "\n".join(line for line in done.stdout.splitlines() if not line.startswith("time="))


def judge(program: str, flags: list[str], options: Options, *, check: bool) -> str:
    """Let the engine's program judge options; returns why it refuses them, or nothing.

    One before 23.0 has no flag for that. It reads its file first, though, and ends right after it where its process
    file names a process that lives: this one.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, trap = Path(folder) / FILE.name, Path(folder) / "docker.pid"
        file.write_text(written(options), encoding="utf-8")
        status, text = said([program, *flags, "--validate", "--config-file", str(file)])
        if UNKNOWN_FLAG in text:
            if check:
                return ""
            file.write_text(written({name: options[name] for name in options if name != "pidfile"}), encoding="utf-8")
            trap.write_text(str(os.getpid()), encoding="ascii")
            status, text = said([program, *flags, "--config-file", str(file), "--pidfile", str(trap)])
            if PID_FILE_FOUND in text:
                return ""
            status = status or 1
        return (text.replace(str(file), str(FILE)).strip() or f"exit status {status}") if status else ""


class Configuration:
    """The engine's file, and the record of what in it is declared.

    The record holds ``ours``, everything that may be in the file because it was declared, and, while the engine has not
    answered with the file, ``former``: what was there before, as ``text`` and ``ours``.
    """

    def __init__(self, file: Path = FILE, record: Path = RECORD) -> None:
        self.file, self.record_file = file, record
        self.text = self._read(file)
        self.options = parsed(self.text or "")
        self.record = parsed(self._read(record) or "") or {}

    @staticmethod
    def _read(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    @property
    def ours(self) -> bool:
        """Whether the file is one of ours: it says so, or nobody can tell what it says."""
        if self.options is None:
            return bool(self.record)
        return bool(own_label(self.options))

    def wanted(self, declared: Options, label: str) -> Options:
        """Return what the file is to hold."""
        if self.options is None and not self.ours:
            raise RefusedError(f"{self.file} is no JSON object, and nobody here has written it: repair or remove it.")
        labels = declared.get("labels") or []
        if not isinstance(labels, list):
            raise RefusedError("docker_daemon_options.labels: must be a list.")
        # In others' order, with the one that tells of them all at the end.
        options = combined(without(self.options or {}, self.record.get("ours") or {}), declared)
        return combined(options, {"labels": [label]})

    def place(self, options: Options, declared: Options, labels: list[str]) -> None:
        """Put the new file in place; the record comes first, so that a run that is killed can be made undone."""
        ours = self.record.get("ours") or {}
        former = self.record.get("former")
        if former is None or own_label(self.options or {}) in labels:
            former = {"text": self.text, "ours": ours}
        self._record({"ours": combined(ours, declared), "former": former})
        self._write(self.file, written(options))

    def settle(self, declared: Options) -> None:
        """Note that the engine runs with the file."""
        self._record({"ours": declared})

    def back(self) -> bool:
        """Put the former file back; returns whether there is another one than that which is there."""
        former = self.record.get("former") or {}
        text = former.get("text")
        if text is None or text == self.text:
            return False
        self._write(self.file, text)
        self._record({"ours": former["ours"]})
        return True

    def _record(self, record: Options) -> None:
        if record != self.record:
            self._write(self.record_file, written(record))
            self.record = record

    @staticmethod
    def _write(path: Path, text: str) -> None:
        if not path.parent.is_dir():
            make_directory(path.parent, mode=0o755)
        replace_file(path, text.encode(), mode=MODE, owner=os.geteuid(), group=os.getegid())


def judged(options: Options, declared: Options, program: str, flags: list[str], *, check: bool) -> list[str]:
    """Let the program judge options; returns those keys of others that it does not know, which were taken out.

    :raises RefusedError: when it refuses what is left.
    """
    reason = judge(program, flags, options, check=check)
    dropped = [name for name in unknown_keys(reason) if name in options and name not in declared]
    if dropped:
        for name in dropped:
            del options[name]
        reason = judge(program, flags, options, check=check)
    if reason:
        others = sorted(set(options) - set(declared) - {"labels"})
        raise RefusedError(
            f"docker_daemon_options: the engine would not start with {FILE} as it is declared, so nothing was changed:"
            f" {reason}. Correct the option or take it out."
            + (f" Others have put into the file: {', '.join(others)}." if others else "")
        )
    return dropped


def main() -> None:
    """Do one step."""
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "choices": ["look", "place", "settle", "back"], "required": True},
            "declared": {"type": "dict", "default": {}},
            "label": {"type": "str", "default": ""},
            "labels": {"type": "list", "elements": "str", "default": []},
            "flags": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    step, declared = module.params["step"], module.params["declared"]
    configuration = Configuration()
    program = shutil.which("dockerd", path=PROGRAMS)
    if step == "look":
        module.exit_json(changed=False, installed=bool(program), ours=configuration.ours)
    if step == "settle":
        if not module.check_mode:
            configuration.settle(declared)
        module.exit_json(changed=False)
    if step == "back":
        restored = not module.check_mode and configuration.back()
        module.exit_json(changed=restored, restored=restored)

    dropped: list[str] = []
    try:
        options = configuration.wanted(declared, module.params["label"])
        if program:
            dropped = judged(options, declared, program, module.params["flags"], check=module.check_mode)
    except RefusedError as refusal:
        module.fail_json(msg=str(refusal))
    text = written(options)
    changed = text != configuration.text or stat.S_IMODE(FILE.stat().st_mode) != MODE
    if not module.check_mode:
        if changed and configuration.text is not None:
            module.backup_local(str(FILE))
        configuration.place(options, declared, module.params["labels"])
    module.exit_json(
        changed=changed,
        dropped=dropped,
        diff={"before": configuration.text or "", "after": text, "before_header": str(FILE), "after_header": str(FILE)},
    )


if __name__ == "__main__":
    main()
