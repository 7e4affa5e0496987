"""The declared sites: addresses and logins, as an operator or a visitor knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from filter_plugins.secrets import derive_secret

PROJECT = Path(__file__).resolve().parents[2]


class VariablesLoader(yaml.SafeLoader):
    """Reads variable files: `!unsafe` marks text that Ansible must not take for a template."""


VariablesLoader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))  # type: ignore[arg-type]


def declared_variables(scenario: Path | None) -> dict[str, Any]:
    """Return the variables that are declared for the stack, untemplated; a scenario's own win."""
    files = [*sorted(PROJECT.glob("roles/*/defaults/main.yml")), *sorted((PROJECT / "group_vars/all").glob("*.yml"))]
    if scenario:
        files += [path for path in (scenario / "group_vars/all.yml", scenario / "vars/stack.yml") if path.exists()]
    variables: dict[str, Any] = {}
    for file in files:
        variables |= yaml.load(file.read_text(), Loader=VariablesLoader) or {}  # noqa: S506 -- a subclass of SafeLoader
    return variables


@dataclass(frozen=True)
class Login:
    """Somebody who may log in to a site."""

    name: str
    password: str
    role: str


@dataclass(frozen=True)
class Site:
    """One entry of wordpress_sites."""

    name: str
    declared: Mapping[str, Any]
    port: int
    installation_key: str

    @property
    def domain(self) -> str:
        """Host name."""
        return str(self.declared["domain"])

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"https://{self.domain}" + ("" if self.port == 443 else f":{self.port}")

    @property
    def title(self) -> str:
        """Title of the site."""
        return str(self.declared["title"])

    @property
    def administrator(self) -> Login:
        """The site's owner."""
        fields = self.declared["administrator"]
        return self._login(str(fields["login"]), fields, "administrator")

    @property
    def users(self) -> list[Login]:
        """Everybody else, in the order in which they are declared."""
        return [self._login(name, fields, str(fields["role"])) for name, fields in self.declared["users"].items()]

    def _login(self, name: str, fields: Mapping[str, Any], role: str) -> Login:
        derived = derive_secret(self.installation_key, f"wordpress/{self.name}/{name}")
        return Login(name, str(fields.get("password", derived)), role)


def declared_sites(variables: Mapping[str, Any], installation_key: str) -> list[Site]:
    """Return the sites of the variables, in the order in which they are declared."""
    port = int(variables["nginx_https_port"])
    return [Site(name, fields, port, installation_key) for name, fields in variables["wordpress_sites"].items()]
