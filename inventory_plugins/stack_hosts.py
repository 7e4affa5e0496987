# SPDX-License-Identifier: MIT
"""Hosts on the command line (`-i web-1.example.org,`), in the group that the playbooks are for."""

from __future__ import annotations

from typing import Any

from ansible.plugins.inventory.host_list import InventoryModule as HostList

DOCUMENTATION = r"""
name: stack_hosts
short_description: A list of hosts that form the group stack
description:
  - What C(ansible.builtin.host_list) does with a text that holds a comma and is no path, C(-i 'web-1.example.org,').
    That leaves the hosts in no group, and the playbooks, which are for the group C(stack), would do nothing at all.
author: The pressdock authors
"""

GROUP = "stack"


class InventoryModule(HostList):
    """See DOCUMENTATION."""

    NAME = "stack_hosts"

    def parse(self, inventory: Any, loader: Any, host_list: str, cache: bool = True) -> None:
        """Add the hosts as usual, then to the group."""
        before = set(inventory.hosts)
        super().parse(inventory, loader, host_list, cache)
        inventory.add_group(GROUP)
        for name in set(inventory.hosts) - before:
            inventory.add_child(GROUP, name)
