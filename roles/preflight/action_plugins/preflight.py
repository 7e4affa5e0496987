# SPDX-License-Identifier: MIT
"""Check everything that can be known before the first change, and report all problems at once.

Runs on the controller: it reads every role's documented variables (their argument specifications and defaults, which
a play that has not included the roles yet does not see), resolves them for the host, asks the host once, and applies
the rules of filter_plugins/preflight.py.
"""

from __future__ import annotations

import re
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import Templar, trust_as_template

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from filter_plugins import preflight as rules
from filter_plugins.ipv6 import dual_stack, lacking
from filter_plugins.multisite import wildcard
from filter_plugins.must_use import must_use_problems
from filter_plugins.nginx import own_certificates, static_file_problems
from filter_plugins.packages import site_package_file_problems
from filter_plugins.rotation import rotation_entries
from filter_plugins.tls import tls_pair_problems
from module_utils import run_lock

PROJECT = Path(__file__).resolve().parents[3]
# The project's own files below group_vars/all.
SHIPPED = ("sites.yml", "stack.yml", "wiring.yml")
_PAIR = ("certificate", "key")
_READ_FILE = trust_as_template("{{ lookup('ansible.builtin.file', __preflight_path) }}")


SAME_AS = re.compile(r"\{\{ (\w+) \}\}")
"""A default that is another variable, and nothing else."""


class ActionModule(ActionBase):
    """The `preflight` action; its module of the same name is what runs on the target."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, check, and fail with one message that names every problem."""
        super().run(tmp, task_vars)
        variables = dict(task_vars or {})
        self._read_roles(PROJECT / "roles")
        data_dir = self._value("stack_data_dir", variables)
        placed = isinstance(data_dir, str) and data_dir.startswith("/")
        libraries = self._libraries()
        arguments = {
            # Where the declared directory is wrong, the rest can still be checked.
            "data_dir": data_dir if placed else "/srv",
            "stack": str(self._value("stack_name", variables) or ""),
            "lock": str(self._value("preflight_lock_file", variables) or self._defaults["preflight_lock_file"]),
            "libraries": list(libraries),
        }

        def ask(who: dict[str, Any]) -> dict[str, Any]:
            found = self._execute_module(module_name="preflight", module_args={**arguments, **who}, task_vars=variables)
            return dict(found)

        look = run_lock.take(ask, str(variables.get("inventory_hostname")))
        if look.get("failed") or "host" not in look:
            return look
        host = look["host"] if placed else {**look["host"], "real_data_dir": None}
        # Variables may follow from the target, such as limits from its memory.
        found = {name.removeprefix("ansible_"): value for name, value in look["ansible_facts"].items()}
        engine = {**variables, "docker_engine_info": look["engine"].get("info") or {}}
        managed, options = (self._value(name, engine) for name in ("__docker_managed", "docker_daemon_options"))
        reasons = lacking(host, bool(managed), options if isinstance(options, Mapping) else {})
        found["stack_ipv6"] = dual_stack(
            self._value("stack_ipv6", variables), reasons, self._value("wordpress_sites", variables)
        )
        variables["ansible_facts"] = {**(variables.get("ansible_facts") or {}), **found}

        declared, unresolved = self._declared(variables)
        declared.ipv6, declared.ipv6_lacking = found["stack_ipv6"], reasons
        problems = rules.declared_problems(declared)
        problems += self._file_problems(PROJECT / "group_vars")
        problems += self._key_problems(declared.values) + self._rotation_problems(declared.values)
        if not any(problem.startswith("wordpress_sites") for problem in problems):
            problems += self._certificate_problems(declared.values, variables)
            problems += static_file_problems(declared.values)
            problems += must_use_problems(
                declared.values.get("wordpress_sites"), declared.values.get("wordpress_mu_plugins")
            )
            problems += self._authority_problems(declared.values, variables)
            for name, site in (declared.values.get("wordpress_sites") or {}).items():
                problems += site_package_file_problems(f"wordpress_sites.{name}", site)
        # What is wired from a wrong variable cannot be right either; that variable's own line is enough.
        quiet = declared.wired if problems or set(unresolved) - set(declared.wired) else ()
        problems += [problem for name, problem in unresolved.items() if name not in quiet]
        problems += rules.controller_problems(list(sys.version_info[:3]))
        declared.sound = not problems
        if not unresolved:
            declared.containers = self._containers(variables)
            engine["ansible_facts"] = variables["ansible_facts"]
            declared.address_pools = self._value("__docker_address_pools", engine) or ()
        problems += rules.host_problems(declared, host) + rules.library_problems(libraries, host)
        problems = list(dict.fromkeys(problems))
        if problems:
            heading = f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found. {_what_was_changed(variables)}"
            return {"failed": True, "msg": "\n".join([heading, *(f"- {problem}" for problem in problems)])}
        mtu = int((found.get("default_ipv4") or {}).get("mtu") or 0)
        # An engine that the docker role manages gets what the machine takes.
        warnings = [] if managed else rules.build_warnings(look["engine"].get("networks") or [], mtu)
        return {
            "changed": False,
            **({"warnings": warnings} if warnings else {}),
            # Decided here, for what is declared has a say in it; variables follow from it like from what was seen.
            "ansible_facts": {**look["ansible_facts"], "ansible_stack_ipv6": declared.ipv6},
        } | {name: look[name] for name in ("engine", "missing_libraries", "certificates")}

    def _read_roles(self, roles: Path) -> None:
        """Read what the roles say about their variables, and the variables' defaults."""
        self._specs: dict[str, Any] = {}
        self._site_spec: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}
        self._roles = sorted(path for path in roles.iterdir() if path.is_dir())
        for role in self._roles:
            for name, entry in self._load(role / "meta" / "argument_specs.yml").get("argument_specs", {}).items():
                if name == "site":
                    self._site_spec |= entry.get("options") or {}
                else:
                    self._specs = {**(entry.get("options") or {}), **self._specs}
            self._defaults |= self._load(role / "defaults" / "main.yml") | self._load(role / "vars" / "main.yml")

    def _value(self, name: str, variables: Mapping[str, Any]) -> Any:
        """Resolve one variable; nothing where it has no value, which has its own line later."""
        try:
            return self._templar_for(variables).template(variables.get(name, self._defaults.get(name)))
        except AnsibleError:
            return None

    def _declared(self, variables: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
        """Resolve every documented variable for this host; return them and a line for each that has no value."""
        templar = self._templar_for(variables)
        values: dict[str, Any] = {}
        unresolved: dict[str, str] = {}
        for name, specification in self._specs.items():
            if name in variables or name in self._defaults:
                try:
                    values[name] = templar.template(variables.get(name, self._defaults.get(name)))
                except AnsibleError as error:
                    reason = "" if rules.is_secret(specification) else f": {_first_line(error)}"
                    unresolved[name] = f"{name}: cannot be worked out{reason}"
            # The required options of other roles are handed over by their callers.
            elif specification.get("required") and name.startswith("stack_"):
                unresolved[name] = f"{name}: must be set"
        return rules.Declared(
            values=values,
            specs=self._specs,
            names=[name for name in variables if isinstance(name, str)],
            known=[*self._specs, *self._defaults],
            prefixes=["stack", *(role.name for role in self._roles)],
            site_spec=self._site_spec,
            wired=[*self._load(PROJECT / "group_vars" / "all" / "wiring.yml"), *self._followers(variables)],
        ), unresolved

    def _followers(self, variables: Mapping[str, Any]) -> list[str]:
        """Name the variables that have another one's value, for nobody has set them."""
        return [
            name
            for name, default in self._defaults.items()
            if (match := SAME_AS.fullmatch(str(default))) and match[1] in self._specs
            if variables.get(name, default) == default
        ]

    def _file_problems(self, folder: Path) -> list[str]:
        """Check that the operator's own files of variables are read, and are not overruled by the project's."""
        files = {
            path.name: self._load(path)
            for path in sorted((folder / "all").glob("*"))
            if path.is_file() and path.suffix in {"", ".yml", ".yaml", ".json"} and path.name[0] not in ".~"
        }
        found: list[str] = rules.file_problems(files, SHIPPED)
        for name in ("all", "stack"):
            # Of a directory and a file of one name Ansible reads the directory alone.
            for suffix in (".yml", ".yaml", ".json"):
                if (folder / name).is_dir() and (folder / f"{name}{suffix}").is_file():
                    where = rules.OWN_FILE if name == "all" else f"group_vars/{name}/"
                    file = f"group_vars/{name}{suffix}"
                    found.append(f"{file}: is not read, because there is group_vars/{name}/: move it to {where}")
        return found

    def _libraries(self) -> dict[str, str]:
        """Return what roles import on the target besides Python's own: name of the module to its package."""
        found: dict[str, str] = {}
        for role in self._roles:
            found |= self._defaults.get(f"__{role.name}_libraries", {})
        return found

    def _templar_for(self, variables: Mapping[str, Any], role: Path | None = None) -> Templar:
        """Return what resolves variables; roles' own are the weakest, and `role` is where templates are looked up."""
        found = {"container_images": _AnyImage(), **self._defaults, **variables}
        if role:
            found |= {"role_path": str(role), "ansible_search_path": [str(role), str(role.parent / "container")]}
        return Templar(loader=self._loader, variables=found)

    def _load(self, path: Path) -> dict[str, Any]:
        """Return a YAML file of a role, or nothing where the role has none. Nobody may change what is in it."""
        if not path.is_file():
            return {}
        # "unsafe" is no copy for each who reads it; Ansible has read most of the files before.
        return dict(self._loader.load_from_file(str(path), unsafe=True, trusted_as_template=True) or {})

    def _containers(self, variables: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return every service's containers with their networks, ports and memory, for the rules that add them up.

        A service that cannot be described yet, because a wrong variable stands in the way, is left out: that
        variable has its own line.
        """
        found = []
        templar = self._templar_for(variables)
        used = ("name", "networks", "ports", "limits")

        def switched_on(name: str) -> bool:
            """Tell whether a service runs: one that can be left out has a variable of this name."""
            return bool(boolean(templar.template(variables.get(name, True)), strict=False))

        for role in self._roles:
            service = self._defaults.get(f"__{role.name}_service")
            if not isinstance(service, Mapping) or not switched_on(f"stack_{role.name}"):
                continue
            declared = service.get("containers") or []
            if isinstance(declared, list):
                # The rest is not worked out for nothing: hashes of passwords are in it, which are made to be slow.
                declared = [{name: one[name] for name in used if name in one} for one in declared]
            try:
                containers = self._templar_for(variables, role).template(declared)
            except AnsibleError as error:
                self._display.vv(f"preflight: the containers of {role.name} are unknown: {_first_line(error)}")
                continue
            found += [
                {
                    "service": role.name,
                    "name": container["name"],
                    "networks": list(container.get("networks") or []),
                    "ports": list(container.get("ports") or []),
                    **{name: (container.get("limits") or {}).get(name) for name in ("memory", "memory_needed")},
                }
                for container in (containers if isinstance(containers, list) else ())
                if isinstance(container, Mapping)
            ]
        return found

    def _key_problems(self, values: Mapping[str, Any]) -> list[str]:
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

    @staticmethod
    def _rotation_problems(values: Mapping[str, Any]) -> list[str]:
        """Check the file of rotations, where there is one."""
        path = Path(str(values.get("stack_rotation_file") or ""))
        try:
            rotation_entries(path.read_text(encoding="utf-8", errors="replace") if path.is_file() else "", str(path))
        except OSError as error:
            return [f"stack_rotation_file: {path}: {error.strerror}"]
        except AnsibleFilterError as error:
            return [str(error.message)]
        return []

    def _certificate_problems(self, values: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Check the certificates and keys that sites and others bring, looked up where the certificates role will."""
        templar = self._templar_for({**variables, "__preflight_path": ""}, PROJECT / "roles" / "certificates")
        problems: list[str] = []
        pairs = [
            (
                f"wordpress_sites.{name}.tls",
                site.get("tls") or {},
                [site["domain"], *(site.get("aliases") or []), *wildcard(site)],
            )
            for name, site in (values.get("wordpress_sites") or {}).items()
        ]
        for place, given, domains in [*pairs, *own_certificates(values)]:
            texts = {}
            for kind, path in given.items():
                templar.available_variables["__preflight_path"] = path
                try:
                    texts[kind] = templar.template(_READ_FILE)
                except AnsibleError:
                    problems.append(f"{place}.{kind}: {path}: cannot be read on this machine")
            if len(texts) == len(_PAIR):
                found = tls_pair_problems(texts["certificate"], texts["key"], domains)
                problems += [f"{place}: {problem}" for problem in found]
        return problems

    def _authority_problems(self, values: Mapping[str, Any], variables: Mapping[str, Any]) -> list[str]:
        """Check that the certificate authorities of mail relays can be read, and are certificates."""
        templar = self._templar_for({**variables, "__preflight_path": ""}, PROJECT / "roles" / "wordpress")
        relays = {"wordpress_smtp": values.get("wordpress_smtp") or {}}
        for name, site in (values.get("wordpress_sites") or {}).items():
            relays[f"wordpress_sites.{name}.smtp"] = site.get("smtp") or {}
        problems = []
        for place, relay in relays.items():
            path = relay.get("certificate_authority") if isinstance(relay, Mapping) else None
            if not path:
                continue
            templar.available_variables["__preflight_path"] = path
            try:
                text = templar.template(_READ_FILE)
            except AnsibleError:
                problems.append(f"{place}.certificate_authority: {path}: cannot be read on this machine")
            else:
                if "-----BEGIN CERTIFICATE-----" not in text:
                    problems.append(f"{place}.certificate_authority: {path}: holds no PEM certificate")
        return problems


class _AnyImage(dict[str, Any]):
    """Stands for the images, which get their names only when they are planned."""

    def __missing__(self, key: str) -> dict[str, str]:
        return {"reference": f"{key}:unknown", "digest": ""}


def _what_was_changed(variables: Mapping[str, Any]) -> str:
    """Say what this run has changed so far: nothing, unless playbooks/installation_key.yml has made a key."""
    made = variables.get("__installation_key_made")
    if isinstance(made, Mapping) and made.get("changed") and not variables.get("ansible_check_mode"):
        return "Nothing was changed but for the installation key, which was created: keep it."
    return "Nothing was changed."


def _first_line(error: AnsibleError) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
