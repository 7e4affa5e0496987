"""What Ansible prints in a run of this project, and templates that are variables."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.callback.default import CallbackModule as DefaultCallback
from ansible.template import Templar

from tests.support.load import load

pressdock = load("callback_plugins/pressdock.py", "pressdock_callback")
rendered = load("lookup_plugins/rendered.py", "rendered_lookup")


class Display:
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def display(self, text: str, color: str | None = None) -> None:
        self.lines.append(f"{text} [{color}]")

    def banner(self, text: str) -> None:
        self.lines.append(f"== {text}")


def outcome(task: str, host: str = "quay", loop: Any = None, **result: Any) -> Any:
    """Return a task's result as Ansible hands it to a callback."""
    return SimpleNamespace(
        host=SimpleNamespace(get_name=lambda: host),
        task=SimpleNamespace(get_name=lambda: task, loop=loop),
        result=result,
    )


@pytest.fixture
def callback(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the callback; what the default one prints besides is only noted."""
    plugin = pressdock.CallbackModule()
    plugin._display = Display()
    noted = plugin.noted = []
    for name in (
        "v2_playbook_on_task_start",
        "v2_runner_on_ok",
        "v2_runner_item_on_ok",
        "v2_playbook_on_stats",
    ):
        monkeypatch.setattr(DefaultCallback, name, lambda *_, name=name: noted.append(name))
    return plugin


def test_changes_are_listed_by_host_at_the_end(callback: Any) -> None:
    callback.v2_runner_on_ok(outcome("Keep the networks", "pier", changed=True))
    callback.v2_runner_on_ok(outcome("Look", changed=False))
    callback.v2_runner_on_ok(outcome("Look again"))
    callback.v2_runner_on_ok(outcome("Start the containers", loop=["a", "b"], changed=True))
    item = {"ansible_loop_var": "item", "_ansible_item_label": "redis"}
    callback.v2_runner_item_on_ok(outcome("Start the containers", changed=True, **item))
    callback.v2_runner_item_on_ok(outcome("Start the containers", changed=False, **item))
    callback.v2_runner_item_on_ok(outcome("Start the containers", **item))
    callback.v2_runner_item_on_ok(outcome("Set passwords", changed=True, _ansible_no_log=True, **item))
    callback.v2_runner_on_ok(outcome("Keep the volumes", changed=True))
    assert callback._display.lines == []
    callback.v2_playbook_on_stats(None)
    colour = pressdock.constants.COLOR_CHANGED
    assert callback._display.lines == [
        "== CHANGES [pier]",
        f"- Keep the networks [{colour}]",
        "== CHANGES [quay]",
        f"- Start the containers (redis) [{colour}]",
        f"- Set passwords [{colour}]",
        f"- Keep the volumes [{colour}]",
    ]
    assert callback.noted == ["v2_runner_on_ok"] * 4 + ["v2_runner_item_on_ok"] * 4 + [
        "v2_runner_on_ok", "v2_playbook_on_stats",
    ]  # fmt: skip


def test_waiting_says_for_how_long(callback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since the task began, not since the run did."""
    clock = [100.0]
    monkeypatch.setattr(pressdock.time, "monotonic", lambda: clock[0])
    callback.v2_playbook_on_task_start(MagicMock(), False)
    clock[0] += 7.4
    callback.v2_runner_retry(outcome("Wait for the database"))
    colour = pressdock.constants.COLOR_VERBOSE
    assert callback._display.lines == [f"waiting: [quay] Wait for the database (7 s) [{colour}]"]
    assert callback.noted == ["v2_playbook_on_task_start"]


class TestRendered:
    """The lookup."""

    def lookup(self, **variables: Any) -> Any:
        loader = DataLoader()
        return rendered.LookupModule(loader=loader, templar=Templar(loader=loader, variables=variables))

    def test_each_template_sees_all_variables_and_what_lies_beside_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "templates"
        folder.mkdir()
        (folder / "one.j2").write_text("{% include 'part.j2' %} {{ colour }} {{ size }}\n{{ 'a\\nb' }}")
        (folder / "part.j2").write_text("a {{ colour }} part")
        (folder / "two.j2").write_text("{{ size }}")
        variables = {"colour": "teal", "size": 1, "ansible_search_path": [str(tmp_path)]}
        found = self.lookup(**variables).run(["one.j2", "two.j2"], variables, size=2)
        assert found == ["a teal part teal 2\na\nb", "2"]

    def test_one_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(AnsibleError, match=r"the template none\.j2 was not found"):
            self.lookup().run(["none.j2"], {"ansible_search_path": [str(tmp_path)]})
        with pytest.raises(AnsibleError, match=r"the template none\.j2 was not found"):
            self.lookup().run(["none.j2"])
