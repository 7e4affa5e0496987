# SPDX-License-Identifier: MIT
"""Rules for the accounts of a site: their roles, whose business their passwords are, and what roles may."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.values import shown

WORDPRESS_ROLES = ("administrator", "editor", "author", "contributor", "subscriber")
PASSWORD_POLICIES = ("enforced", "initial")
ROLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
CAPABILITY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,99}")
SPELLING = 0.9
"""How much a role must be like one of WordPress's own to be taken for that, misspelt."""


def declared_roles(value: Any) -> list[Any]:
    """Return the roles of an account, which declares one or a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def role_problems(where: str, value: Any, site: Mapping[str, Any]) -> list[str]:
    """Check the roles of one account.

    A role that is not WordPress's own is one that a plugin or a theme brings, which only the site can tell; without
    any of those there is none.

    :param site: what it declares besides.
    """
    own = ", ".join(WORDPRESS_ROLES)
    roles = declared_roles(value)
    if not roles:
        return [f"{where}: []: needs a role, of {own}, or of a plugin's"]
    problems = []
    for role in roles:
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            near = _meant(role) if isinstance(role, str) else ""
            problems.append(f"{where}: {shown(role)}: must be one of {own}, or the name of a plugin's role{near}")
        elif role not in WORDPRESS_ROLES:
            near = _meant(role)
            if near:
                problems.append(f"{where}: {shown(role)}: must be one of {own}, or the name of a plugin's role{near}")
            elif not site.get("plugins") and not site.get("theme"):
                problems.append(
                    f"{where}: {shown(role)}: must be one of {own}: the site declares no plugin that could bring "
                    "another one"
                )
    if len(set(map(str, roles))) < len(roles):
        problems.append(f"{where}: {shown(value)}: has a role twice")
    return problems


def _meant(role: str) -> str:
    """Name the role of WordPress that a misspelt one is like."""
    found = difflib.get_close_matches(role.casefold().strip(), WORDPRESS_ROLES, n=1, cutoff=SPELLING)
    return f", did you mean {found[0]}?" if found else ""


def password_policy_problems(where: str, account: Mapping[str, Any]) -> list[str]:
    """Check whether an account's password is kept as it is declared, or is only the first one."""
    value = account.get("password_policy", "enforced")
    if value in PASSWORD_POLICIES:
        return []
    return [f"{where}.password_policy: {shown(value)}: must be one of {', '.join(PASSWORD_POLICIES)}"]


def email_problem(value: str) -> str | None:
    """Return the rule of WordPress's that a valid e-mail address breaks."""
    if re.search(r"[&<>]", value):
        return "WordPress stores & as HTML does, and mail would go to another address: take one without it"
    # What its is_email() refuses besides.
    if ".." in value.rpartition("@")[0]:
        return "must not have two dots in a row"
    return None


def role_capabilities_problems(where: str, declared: Any) -> list[str]:
    """Check what roles of a site may in place of what WordPress lets them: role to capability to true or false."""
    problems: list[str] = []
    for role, capabilities in declared.items() if isinstance(declared, Mapping) else ():
        place = f"{where}.{role}"
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            problems.append(f"{where}: {shown(role)}: must be a role, such as editor")
        elif not isinstance(capabilities, Mapping):
            problems.append(f"{place}: {shown(capabilities)}: must be a dict, such as {{edit_theme_options: true}}")
        else:
            for name, may in capabilities.items():
                if not isinstance(name, str) or not CAPABILITY.fullmatch(name):
                    problems.append(f"{place}: {shown(name)}: must be a capability, such as edit_theme_options")
                elif not isinstance(may, bool):
                    problems.append(f"{place}.{name}: {shown(may)}: must be true or false")
                elif role == "administrator" and not may and name in ("manage_options", "edit_users", "read"):
                    problems.append(f"{place}.{name}: false: nobody could administer the site")
    return problems


class FilterModule:
    """Ansible's entry point: Ansible reads every file of this folder, and these rules are functions for others."""

    def filters(self) -> dict[str, Any]:
        """Name no filter."""
        return {}
