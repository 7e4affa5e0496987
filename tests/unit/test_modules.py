"""What holds for every module: it takes what its documentation says, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic

from tests.support.load import load
from tests.support.runs import PROJECT

MODULES = [*PROJECT.glob("roles/*/library/*.py"), *PROJECT.glob("molecule/shared/library/*.py")]


ACTIONS = [*PROJECT.glob("roles/*/action_plugins/*.py")]


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.stem)
def test_actions_find_the_project_on_their_own(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry).resolve() != PROJECT])
    load(str(path.relative_to(PROJECT)), f"action_{path.stem}")
    assert str(PROJECT) in sys.path


class Started(Exception):  # noqa: N818 -- no error
    """A module has said what it takes."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what modules that are started from now on give to Ansible."""
    given: dict[str, Any] = {}

    def note(_: Any, **keywords: Any) -> None:
        given.update(keywords)
        raise Started

    monkeypatch.setattr(basic.AnsibleModule, "__init__", note)
    return given


def described(options: dict[str, Any], below: str) -> dict[str, Any]:
    """Return options without their descriptions; `below` is what their own ones are called."""
    return {
        name: {
            "type": option.get("type", "str"),
            "elements": option.get("elements"),
            "required": option.get("required", False),
            "default": option.get("default"),
            "choices": option.get("choices"),
            "options": described(option.get(below) or {}, below),
        }
        for name, option in options.items()
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_parameters_are_the_documented_ones(path: Path, started: dict[str, Any]) -> None:
    load("roles/certificates/module_utils/tls_pairs.py", "ansible.module_utils.tls_pairs")
    module = load(str(path.relative_to(PROJECT)), f"module_{path.stem}")
    with pytest.raises(Started):
        module.main()
    documentation = yaml.safe_load(module.DOCUMENTATION)
    taken = described(started.get("argument_spec", {}), "options")
    assert taken == described(documentation.get("options") or {}, "suboptions")
    support = documentation["attributes"]["check_mode"]["support"]
    assert started.get("supports_check_mode", False) is (support != "none")
