# SPDX-License-Identifier: MIT
"""Filters about what services need in certificates: whose a run looks after, and for which user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.playbook.taggable import Taggable


class _Role(Taggable):
    """A role of a play, by its only tag, for Ansible to say whether a run is about it."""

    def __init__(self, tag: str) -> None:
        self._tags = [tag]
        self._loader = None

    @property
    def tags(self) -> list[str]:
        return self._tags

    def _get_all_taggable_objects(self) -> tuple[()]:
        return ()


def of_tagged_roles(
    declared: Iterable[Mapping[str, Any]], run_tags: Sequence[str], skip_tags: Sequence[str]
) -> list[Mapping[str, Any]]:
    """Keep what roles declare that a run with tags runs, for one task that works for several roles.

    :param declared: dictionaries whose ``name`` is that of a role and of its tag.
    :param run_tags: ``ansible_run_tags``.
    :param skip_tags: ``ansible_skip_tags``.
    """
    return [one for one in declared if _Role(str(one["name"])).evaluate_tags(run_tags, skip_tags, {})]


def certificate_stores(declared: Iterable[Mapping[str, Any]], users: Mapping[str, int]) -> list[dict[str, Any]]:
    """Give the ids of users in place of their names.

    :param declared: the stores, see roles/certificates/meta/argument_specs.yml.
    :param users: names and ids; a user's group has the same id.
    :return: ``stores`` of the module ``tls_certificates``.
    :raises AnsibleFilterError: when a store's owner is none of the users.
    """
    stores = []
    for one in declared:
        store = dict(one)
        owner = store.pop("owner")
        if owner not in users:
            raise AnsibleFilterError(f"certificates_stores: {store['name']}: {owner!r} is none of base_image_users")
        stores.append({**store, "uid": users[owner], "gid": users[owner]})
    return stores


def ended_certificates(stores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Write which certificates of the operator's have ended, in the form that the problems role takes.

    :param stores: what the module ``tls_certificates`` returned of them.
    """
    return [
        {
            "part": f"certificate {name} of {store}",
            "what": entry["reason"],
            "serves": f"{entry['serves']}; browsers warn of one that has ended, or that they do not know.",
            "advice": "put a valid one where `tls` names its files, and run again; or take `tls` out.",
        }
        for store, result in sorted(stores.items())
        for name, entry in sorted((result.get("ended") or {}).items())
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "certificate_stores": certificate_stores,
            "ended_certificates": ended_certificates,
            "of_tagged_roles": of_tagged_roles,
        }
