"""Filters for the reports of the WordPress reconciler (roles/wordpress/files/reconcile.php)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def wordpress_change(change: Mapping[str, Any]) -> str:
    """Write one change of a report as a line: ``option blogname: "Old" -> "New"``.

    A change without values, such as that of a password, is only named. Raises AnsibleFilterError when `change` is not
    an entry of a report.
    """
    try:
        what, before, after = change["what"], change["from"], change["to"]
    except (KeyError, TypeError):
        raise AnsibleFilterError("wordpress_change: needs a change with what, from and to") from None
    if before is None and after is None:
        return str(what)
    shown = ["none" if value is None else json.dumps(value, ensure_ascii=False) for value in (before, after)]
    return f"{what}: {shown[0]} -> {shown[1]}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"wordpress_change": wordpress_change}
