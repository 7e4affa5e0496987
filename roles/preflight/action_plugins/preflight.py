# SPDX-License-Identifier: MIT
"""Check everything that can be known before the first change, and report all problems at once.

Runs on the controller: it reads every role's documented variables (their argument specifications and defaults, which
a play that has not included the roles yet does not see), resolves them for the host, asks the host once, and applies
the rules of filter_plugins/preflight.py.
"""

from __future__ import annotations

import importlib.util
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import Templar

PROJECT = Path(__file__).resolve().parents[3]


def _rules() -> Any:
    """Import the rules: Ansible does not put filter plugins on Python's path."""
    name = "pressdock_preflight_rules"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, PROJECT / "filter_plugins" / "preflight.py")
        if spec is None or spec.loader is None:
            raise AnsibleError("preflight: its rules are missing from filter_plugins/preflight.py")
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up by name.
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core has no type information
    """The `preflight` action; its module of the same name is what runs on the target."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, check, and fail with one message that names every problem."""
        super().run(tmp, task_vars)
        rules = _rules()
        variables = task_vars or {}
        declared, problems = self._declared(rules, PROJECT / "roles", variables)
        problems += rules.declared_problems(declared)
        problems += self._key_problems(rules, declared.values)
        problems += rules.controller_problems(list(sys.version_info[:3]))

        data_dir = declared.values.get("stack_data_dir")
        look = self._execute_module(
            module_name="preflight",
            # Where the declared directory is wrong, the rest can still be checked.
            module_args={"data_dir": data_dir if isinstance(data_dir, str) and data_dir.startswith("/") else "/srv"},
            task_vars=variables,
        )
        if look.get("failed") or "host" not in look:
            return dict(look)
        host = look["host"]
        if host["real_data_dir"] == "/srv":
            host["real_data_dir"] = None
        problems += rules.host_problems(declared, host)
        result = {
            "changed": False,
            "ansible_facts": look.get("ansible_facts", {}),
            "problems": list(dict.fromkeys(problems)),
        }
        if result["problems"]:
            count = len(result["problems"])
            heading = f"{count} problem{'s' if count > 1 else ''} found. Nothing was changed."
            result |= {"failed": True, "msg": "\n".join([heading, *(f"- {problem}" for problem in result["problems"])])}
        return result

    def _declared(self, rules: Any, roles: Path, variables: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """Resolve every documented variable for this host; return them and what could not be resolved."""
        specs: dict[str, Any] = {}
        site_spec: dict[str, Any] = {}
        defaults: dict[str, Any] = {}
        names = sorted(path.name for path in roles.iterdir() if path.is_dir())
        for name in names:
            for entry, content in (
                self._load(roles / name / "meta" / "argument_specs.yml").get("argument_specs", {}).items()
            ):
                if entry == "site":
                    site_spec |= content.get("options") or {}
                else:
                    specs |= {key: value for key, value in (content.get("options") or {}).items() if key not in specs}
            defaults |= self._load(roles / name / "defaults" / "main.yml")
            defaults |= self._load(roles / name / "vars" / "main.yml")
        # Defaults and role variables are the weakest here. A private variable cannot be set from outside anyway.
        templar = Templar(loader=self._loader, variables={"container_images": _AnyImage(), **defaults, **variables})
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, specification in specs.items():
            if name not in variables and name not in defaults:
                # Other roles' required options are handed over by their callers.
                if specification.get("required") and name.startswith("stack_"):
                    problems.append(f"{name}: must be set")
                continue
            try:
                values[name] = templar.template(variables.get(name, defaults.get(name)))
            except AnsibleError as error:
                reason = "" if rules.is_secret(specification) else f": {_first_line(error)}"
                problems.append(f"{name}: cannot be worked out{reason}")
        containers = [] if problems else self._containers(names, defaults, templar)
        return rules.Declared(
            values=values,
            specs=specs,
            names=[name for name in variables if isinstance(name, str)],
            prefixes=[*names, "stack"],
            containers=containers,
            site_spec=site_spec,
        ), problems

    def _load(self, path: Path) -> dict[str, Any]:
        """Return a YAML file of a role, or nothing where the role has none."""
        if not path.is_file():
            return {}
        return dict(self._loader.load_from_file(str(path), trusted_as_template=True) or {})

    def _containers(self, roles: list[str], defaults: Mapping[str, Any], templar: Any) -> list[dict[str, Any]]:
        """Return every service's containers with their ports and memory, for the rules that add them up.

        A service that cannot be described yet, because a wrong variable stands in the way, is left out: that
        variable has its own line.
        """
        found = []
        for role in roles:
            service = defaults.get(f"__{role}_service")
            if not isinstance(service, Mapping):
                continue
            try:
                containers = templar.template(service.get("containers") or [])
            except AnsibleError as error:
                self._display.vv(f"preflight: the containers of {role} are unknown: {_first_line(error)}")
                continue
            found += [
                {
                    "service": role,
                    "name": container["name"],
                    "ports": list(container.get("ports") or []),
                    "memory": (container.get("limits") or {}).get("memory"),
                }
                for container in containers
            ]
        return found

    def _key_problems(self, rules: Any, values: Mapping[str, Any]) -> list[str]:
        """Check the installation key, and its file where it was read from one."""
        if "stack_installation_key" not in values:
            return []
        path = Path(str(values.get("stack_installation_key_file") or ""))
        text = mode = None
        if path.is_file():
            try:
                text, mode = path.read_text(encoding="utf-8", errors="replace"), stat.S_IMODE(path.stat().st_mode)
            except OSError as error:
                return [f"stack_installation_key_file: {path}: {error.strerror}"]
        found: list[str] = rules.key_problems(values["stack_installation_key"], str(path), text, mode)
        return found


class _AnyImage(dict[str, Any]):
    """Stands for the images, which get their names only when they are planned."""

    def __missing__(self, key: str) -> dict[str, str]:
        return {"reference": f"{key}:unknown", "digest": ""}


def _first_line(error: AnsibleError) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
