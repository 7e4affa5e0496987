#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Replace containers so that there is a way back: set them aside, let their successors take over, or take it back."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: container_handover
short_description: Replace containers so that there is a way back
description:
  - The steps of replacing containers, all of them at once. Between the first and the last one their successors are
    created under their names, and become healthy.
  - What an interrupted run has left is put right by the step V(recover), or, when the address was handed over, is a
    container that nobody declares.
options:
  containers:
    description: The containers.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The engine's name of the container.
        type: str
        required: true
      address:
        description:
          - Its name while it is set aside. That of one that overlaps with its successor is the name under which its
            clients look it up, C(CONTAINER.NETWORK) in the engine's names.
        type: str
        required: true
      overlaps:
        description: Whether it runs beside its successor.
        type: bool
        required: true
  step:
    description:
      - V(aside) gives a container's name free. It serves on, under its address.
      - V(turn) stops those that do not overlap with their successors, and starts these, which were created.
      - V(finish) gives the address to the successor. When no client can have the former address any more and those that
        are connected have been answered, the container is stopped (with the signal and in the time that it was
        created with) and removed. One that does not overlap with its successor was stopped, and is removed.
      - V(back) removes a successor, gives the container before it its name back, and starts it where it was stopped.
        Containers that have not been set aside are left.
      - V(recover) does the same after a run that was interrupted; but where the container before has died or was
        stopped and the successor runs, the successor stays.
    type: str
    choices: [aside, turn, finish, back, recover]
    required: true
  address_lifetime:
    description: Seconds for which clients use an address before they look it up again. Only for V(finish).
    type: float
    default: 0
  drain_timeout:
    description: Seconds that those who are connected may take until they are answered. Only for V(finish).
    type: float
    default: 0
attributes:
  check_mode:
    support: none
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Give the successor its address
  container_handover:
    step: finish
    containers:
      - name: pressdock-wordpress-blog
        address: pressdock-wordpress-blog.pressdock-web-blog
        overlaps: true
    address_lifetime: 5
    drain_timeout: 300
  become: true
"""

RETURN = r"""
unanswered:
  description: Connections that were still open when their container was stopped, by the container's last name.
  returned: always
  type: dict
  sample: {"pressdock-wordpress-blog.0123456789ab": 0}
started:
  description: What the engine says of the successors that V(turn) has started, by their names.
  returned: always
  type: dict
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, ask_again, tell
from ansible.module_utils.handover import remaining_name, retired_name, running_by_name, waiting_clients

LATENESS = 2
"""Seconds beyond the lifetime of an address: a client that has just looked it up still has to connect."""
PAUSE = 0.3
"""Seconds between two looks at the connections of a container that ends."""
PATIENCE = 60
"""Seconds beyond a container's own time to stop that the engine may take for it."""

Container = dict[str, Any]


def existing() -> dict[str, bool]:
    """Ask the engine which containers there are, and whether each one runs."""
    running: dict[str, bool] = running_by_name(ask_again(SOCKET, "/containers/json?all=1"))
    return running


def rename(name: str, to: str) -> None:
    """Give a container another name."""
    tell(SOCKET, "POST", f"/containers/{quote(name)}/rename?name={quote(to)}")


def remove(name: str) -> None:
    """Remove a container, whether it runs or not."""
    tell(SOCKET, "DELETE", f"/containers/{quote(name)}?force=1", PATIENCE)


def inspect(name: str) -> dict[str, Any]:
    """Return what the engine says of a container."""
    inspected: dict[str, Any] = ask_again(SOCKET, f"/containers/{quote(name)}/json")
    return inspected


def start(name: str) -> None:
    """Start a container that does not run."""
    tell(SOCKET, "POST", f"/containers/{quote(name)}/start", PATIENCE)


def stop(name: str, inspected: dict[str, Any]) -> None:
    """Stop a container with the signal and in the time that it was created with."""
    grace = inspected["Config"].get("StopTimeout") or 10
    tell(SOCKET, "POST", f"/containers/{quote(name)}/stop", grace + PATIENCE)


def set_aside(containers: list[Container]) -> None:
    """Give the names of containers that serve free."""
    for container in containers:
        rename(container["name"], container["address"])


def take_turns(containers: list[Container]) -> dict[str, Any]:
    """Stop those that do not overlap with their successors, and start these; returns what the engine says of them."""
    started = {}
    for container in containers:
        if not container["overlaps"]:
            stop(container["address"], inspect(container["address"]))
            start(container["name"])
            started[container["name"]] = inspect(container["name"])
    return started


def take_back(containers: list[Container], *, interrupted: bool = False) -> None:
    """Remove the successors of containers that were set aside, and give these their names back.

    :param interrupted: by another run, of which nobody knows how far it came: a successor that is all that runs stays.
    """
    running = existing()
    for container in containers:
        name, address = container["name"], container["address"]
        if address not in running:
            continue
        if interrupted and remaining_name(running, name, address) == name:
            remove(address)
            continue
        if name in running:
            remove(name)
        rename(address, name)
        if not running[address]:
            start(name)


def retire(containers: list[Container]) -> list[str]:
    """Give the addresses to the successors; returns the names that the containers before them have from then on.

    Those that do not overlap have been stopped: they are removed.
    """
    running = existing()
    retired = []
    for container in containers:
        if container["address"] in running and not container["overlaps"]:
            remove(container["address"])
        elif container["address"] in running:
            retired.append(retired_name(container["name"], inspect(container["address"])["Id"]))
            rename(container["address"], retired[-1])
    return retired


def connected(pid: int) -> int:
    """Count those who are connected to a container, by the process id (on the host) of its main process."""
    tables = [Path(f"/proc/{pid}/net/{table}") for table in ("tcp", "tcp6")]
    return int(waiting_clients(*(table.read_text(encoding="ascii") for table in tables if table.exists())))


def end(name: str, timeout: float) -> int:
    """Stop and remove a container when nobody is connected to it any more; returns how many were in the end."""
    inspected = inspect(name)
    pid = inspected["State"]["Pid"]
    last = time.monotonic() + timeout
    while (left := connected(pid) if pid else 0) and time.monotonic() < last:
        time.sleep(PAUSE)
    stop(name, inspected)
    remove(name)
    return left


def finish(containers: list[Container], lifetime: float, timeout: float) -> dict[str, int]:
    """Hand over, and end the containers that have; returns how many of their clients were left, by name."""
    retired = retire(containers)
    if not retired:
        return {}
    time.sleep(lifetime + LATENESS)
    with ThreadPoolExecutor(len(retired)) as pool:
        return dict(zip(retired, pool.map(lambda name: end(name, timeout), retired), strict=True))


def main() -> None:
    """Do one step."""
    module = AnsibleModule(
        argument_spec={
            "containers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "address": {"type": "str", "required": True},
                    "overlaps": {"type": "bool", "required": True},
                },
            },
            "step": {"type": "str", "choices": ["aside", "turn", "finish", "back", "recover"], "required": True},
            "address_lifetime": {"type": "float", "default": 0},
            "drain_timeout": {"type": "float", "default": 0},
        },
    )
    containers: list[Container] = module.params["containers"]
    step = module.params["step"]
    unanswered: dict[str, int] = {}
    started: dict[str, Any] = {}
    try:
        if step == "aside":
            set_aside(containers)
        elif step == "turn":
            started = take_turns(containers)
        elif step in ("back", "recover"):
            take_back(containers, interrupted=step == "recover")
        else:
            unanswered = finish(containers, module.params["address_lifetime"], module.params["drain_timeout"])
    except OSError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, unanswered=unanswered, started=started)


if __name__ == "__main__":
    main()
