"""The toy role's one filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def toy_container(item: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Make one container of the service's dict from `{key: name, value: fields that differ}`."""
    return {**common, "name": f"toy-{item['key']}", **item["value"]}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"toy_container": toy_container}
