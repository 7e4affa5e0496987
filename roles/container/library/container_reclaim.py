#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Give containers their names back, and remove those that claim what is another's."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_reclaim
short_description: Give containers their names back, and remove those that claim what is another's
description:
  - First it removes, then it renames. One that is removed is stopped before, with the signal and in the time that it
    was created with, so that a database ends in order.
  - A container whose name another one of them has at the moment gets one in between that means nothing. After a run
    that was killed the next one finds each by its label.
options:
  steps:
    description: What to do, each with a container's C(id), an C(action) (C(remove), C(rename)), and its C(name) to be.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Exchange the names of two containers
  container_reclaim:
    steps:
      - {action: rename, id: 0123456789ab, name: pressdock-nginx}
      - {action: rename, id: 456789abcdef, name: pressdock-ftp}
  become: true
"""

RETURN = r"""
"""

from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, ask_again, tell
from ansible.module_utils.handover import retired_name, running_by_name

PATIENCE = 60
"""Seconds beyond a container's own time to stop that the engine may take for it."""


def remove(identifier: str) -> None:
    """Stop a container in its own time, and remove it."""
    inspected = ask_again(SOCKET, f"/containers/{identifier}/json")
    state = inspected.get("State") or {}
    if state.get("Paused"):
        # A frozen process cannot end in order.
        tell(SOCKET, "POST", f"/containers/{identifier}/unpause")
    if state.get("Running") or state.get("Restarting"):
        grace = inspected["Config"].get("StopTimeout") or 10
        tell(SOCKET, "POST", f"/containers/{identifier}/stop", grace + PATIENCE)
    tell(SOCKET, "DELETE", f"/containers/{identifier}?force=1", PATIENCE)


def rename(identifier: str, name: str) -> None:
    """Give a container another name."""
    tell(SOCKET, "POST", f"/containers/{identifier}/rename?name={quote(name)}")


def reclaim(steps: list[dict[str, Any]]) -> None:
    """Do all steps."""
    for step in steps:
        if step["action"] == "remove":
            remove(step["id"])
    renamed = [step for step in steps if step["action"] == "rename"]
    taken = running_by_name(ask_again(SOCKET, "/containers/json?all=1"))
    if any(step["name"] in taken for step in renamed):
        for step in renamed:
            rename(step["id"], retired_name(step["name"], step["id"]))
    for step in renamed:
        rename(step["id"], step["name"])


def main() -> None:
    """Do what is asked for."""
    module = AnsibleModule(argument_spec={"steps": {"type": "list", "elements": "dict", "required": True}})
    try:
        reclaim(module.params["steps"])
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
