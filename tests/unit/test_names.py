"""`make destroy NAME=...`, `make rotate NAME=...`: what is named arrives in the playbook as it was written."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.runs import PROJECT

NAMES = [
    "market",
    "database/two  words",
    'database/it\'s "$HOME" \\ `id` $(id) & ; #',
    "database/$(shell touch made-by-make)$$x",
    "database/{{ 7 * 7 }} {% raw %} x=y",
    "database/käse\nline",
]


def write_script(path: Path, command: str) -> None:
    """Write a shell script that stands for one of the project's."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)


each_verb = pytest.mark.parametrize("verb", ["destroy", "rotate"])


@each_verb
@pytest.mark.parametrize("name", NAMES)
def test_make_hands_any_text_over_as_it_is(tmp_path: Path, name: str, verb: str) -> None:
    shutil.copy(PROJECT / "Makefile", tmp_path)
    write_script(tmp_path / "scripts/bootstrap", "true")
    shutil.copy(PROJECT / "scripts/environment", tmp_path / "scripts")
    variable = f"PRESSDOCK_{verb.upper()}_NAME"
    write_script(tmp_path / "scripts/play", f'printf %s "${variable}" > name; printf "%s " "$@" > arguments')
    subprocess.run(["make", verb, f"NAME={name}", "ARGS=--check"], cwd=tmp_path, check=True)
    assert (tmp_path / "name").read_text(encoding="utf-8") == name
    assert (tmp_path / "arguments").read_text(encoding="utf-8") == f"playbooks/{verb}.yml --check "
    assert not (tmp_path / "made-by-make").exists()


@each_verb
def test_the_playbook_takes_any_text_as_it_is(tmp_path: Path, verb: str) -> None:
    """The play that checks the name and the last one that uses it, with other tasks: here nothing is changed."""
    plays = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": play["vars"],
            "tasks": [{"ansible.builtin.debug": {"msg": f"ARRIVED {{{{ {verb}_name | to_json | b64encode }}}} "}}],
        }
        for play in yaml.safe_load((PROJECT / f"playbooks/{verb}.yml").read_text(encoding="utf-8"))
        if "vars" in play and "tasks" in play
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump(plays), encoding="utf-8")
    name = " ".join(NAMES)
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", playbook],
        cwd=tmp_path,
        env={
            **os.environ,
            f"PRESSDOCK_{verb.upper()}_NAME": name,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"ARRIVED (\S+)", done.stdout)
    assert [json.loads(base64.b64decode(text)) for text in found] == [name, name], done.stdout + done.stderr
