"""Compiled templates are kept, mean the same as before, and never stop a run; the garbage collector rests."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from callback_plugins.preload import COLLECTOR_THRESHOLDS, keep_compiled_templates, private_directory
from tests.support.runs import PROJECT

COLLECTOR_LOOKUP = """
import gc
from ansible.plugins.lookup import LookupBase

class LookupModule(LookupBase):
    def run(self, terms, variables=None, **kwargs):
        return [f"thresholds {gc.get_threshold()}, frozen {gc.get_freeze_count() > 0}"]
"""
COLLECTOR_PLAY = """---
- name: Ask a task's process
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Ask
      ansible.builtin.debug:
        msg: "{{ lookup('collector') }}"
"""


def environment(directory: Path) -> type[jinja2.Environment]:
    """Return a class of environments of its own that keeps what it compiles; `compiled` lists what had to be."""

    class Counting(jinja2.Environment):
        compiled: list[str] = []

        def compile(self, source: Any, *arguments: Any, **options: Any) -> Any:
            self.compiled.append(source)
            return super().compile(source, *arguments, **options)

    keep_compiled_templates(Counting, directory)
    return Counting


def compiled(kind: type[jinja2.Environment]) -> list[str]:
    """Return what an environment had to compile."""
    found: list[str] = kind.compiled  # type: ignore[attr-defined]
    return found


def test_a_later_process_compiles_nothing(tmp_path: Path) -> None:
    source = "{% for one in many %}{{ one | upper }};{% endfor %}"
    answers = []
    for _ in range(2):
        kind = environment(tmp_path)
        answers.append((kind().from_string(source).render(many=["fore", "aft"]), compiled(kind)))
    assert answers == [("FORE;AFT;", [source]), ("FORE;AFT;", [])]


def test_other_settings_are_another_template(tmp_path: Path) -> None:
    source = "{% if true %}\nahoy\n{% endif %}\n"
    kind = environment(tmp_path)
    plain, trimmed = (kind(trim_blocks=trim).from_string(source).render() for trim in (False, True))
    assert (plain, trimmed) == ("\nahoy\n", "ahoy\n")
    assert len(compiled(kind)) == 2


def test_a_backslash_is_compiled_each_time(tmp_path: Path) -> None:
    """Ansible reads it in two ways, by options that are not the environment's."""
    kind = environment(tmp_path)
    for _ in range(2):
        assert kind().from_string(r"{{ 'a\\b' }}").render() == r"a\b"
    assert len(compiled(kind)) == 2


def test_what_is_broken_is_compiled_again(tmp_path: Path) -> None:
    environment(tmp_path)().from_string("{{ 6 * 7 }}")
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-20])
    kind = environment(tmp_path)
    assert kind().from_string("{{ 6 * 7 }}").render() == "42"
    assert len(compiled(kind)) == 1


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    kind = environment(tmp_path)
    with pytest.raises(jinja2.TemplateSyntaxError):
        kind().from_string("{{ 6 * }}")
    assert list(tmp_path.iterdir()) == []


def test_too_many_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callback_plugins.preload.MAXIMUM_KEPT", 2)
    kind = environment(tmp_path)
    for number in range(3):
        kind().from_string(f"{{{{ {number} }}}}")
    assert len(list(tmp_path.iterdir())) == 3
    environment(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_read_from_where_others_can_write(tmp_path: Path) -> None:
    directory = tmp_path / "compiled"
    assert private_directory(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o770)
    assert not private_directory(directory)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert not private_directory(link)
    kind = environment(directory)
    kind().from_string("{{ 6 * 7 }}")
    assert list(directory.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kind = environment(tmp_path / "file/compiled")
    assert kind().from_string("{{ 6 * 7 }}").render() == "42"


def test_a_directory_that_goes_away_is_done_without(tmp_path: Path) -> None:
    directory = tmp_path / "compiled"
    kind = environment(directory)
    directory.rmdir()
    assert kind().from_string("{{ 6 * 7 }}").render() == "42"


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [
        ("preload", f"thresholds {COLLECTOR_THRESHOLDS}, frozen True"),
        ("ansible.posix.profile_tasks", f"thresholds {gc.get_threshold()}, frozen False"),
    ],
)
def test_the_collector_leaves_the_processes_of_tasks_alone(tmp_path: Path, enabled: str, expected: str) -> None:
    (tmp_path / "collector.py").write_text(COLLECTOR_LOOKUP, encoding="utf-8")
    play = tmp_path / "play.yml"
    play.write_text(COLLECTOR_PLAY, encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"),
        "ANSIBLE_LOOKUP_PLUGINS": str(tmp_path),
        "ANSIBLE_CALLBACKS_ENABLED": enabled,
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(play)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert expected in done.stdout, done.stdout + done.stderr
