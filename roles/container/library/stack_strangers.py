#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""List what a run leaves alone in a stack, in one run that changes nothing: what belongs to nobody, and what ails."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: stack_strangers
short_description: List what stands in a stack and belongs to nobody, and which of its containers ail
description:
  - Containers on the stack's networks, or in the network namespace of one of its containers, that do not carry its
    label, with the ports that they publish.
  - Programs among the uploads of the stack's sites. The web server does not run them, but somebody tried.
  - Containers of the stack that are made as declared and do not work, unhealthy ones and those that fall over; and
    those that the healer has started again within a day.
options:
  stack:
    description: Name of the stack, as its label carries it.
    type: str
    required: true
  volumes:
    description: Directory of the stack's volumes.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Look for strangers
  stack_strangers:
    stack: pressdock
    volumes: /srv/pressdock/volumes
  become: true
"""

RETURN = r"""
strangers:
  description: One line for each.
  returned: always
  type: list
  elements: str
  sample: ["container other of others on network pressdock-web-blog"]
ailing:
  description: One line for each.
  returned: always
  type: list
  elements: str
  sample: ["container pressdock-adminer is unhealthy"]
"""

import datetime as dt
import json
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, STACK_LABEL, ask
from ansible.module_utils.health import check_of, run_check

PROGRAM = re.compile(r"\.(?:ph(?:p[0-9]?|ps|tml?|ar)|cgi|p[ly]|sh)$", re.IGNORECASE)
HEALS = os.path.join("healer", "heals.json")
"""The healer's record, below the volumes."""
DAY = dt.timedelta(days=1)
MOST = 20
"""Files that are named of each site; the rest is counted."""


def name_of(container: dict[str, Any]) -> str:
    """Return the name by which a person knows a container."""
    return str((container.get("Names") or [container["Id"][:12]])[0]).lstrip("/")


def namespace_owner(container: dict[str, Any], containers: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the container whose network namespace a container is in: mostly its own.

    :param containers: the engine's list of them, in which one that is gone is missing.
    """
    seen = []
    while container["Id"] not in seen:
        seen.append(container["Id"])
        kind, _, other = str((container.get("HostConfig") or {}).get("NetworkMode") or "").partition(":")
        if kind == "container" and other:
            found = [one for one in containers if other == name_of(one) or one["Id"].startswith(other)]
            container = found[0] if found else container
    return container


def foreign_containers(containers: list[dict[str, Any]], networks: list[dict[str, Any]], stack: str) -> list[str]:
    """List the containers of others on the stack's networks, and in the network namespaces of its containers.

    :param containers: the engine's list of them, with their networks.
    :param networks: the engine's list of them. Labels tell whose they are: another stack's name may begin alike.
    """
    own = {network["Name"] for network in networks if (network.get("Labels") or {}).get(STACK_LABEL) == stack}
    found = []
    for container in containers:
        if (container.get("Labels") or {}).get(STACK_LABEL) == stack:
            continue
        owner = namespace_owner(container, containers)
        joined = sorted(own & set((owner.get("NetworkSettings") or {}).get("Networks") or {}))
        within = (owner.get("Labels") or {}).get(STACK_LABEL) == stack
        ports = sorted({port["PublicPort"] for port in container.get("Ports") or [] if port.get("PublicPort")})
        if joined or within:
            # Whoever shares a namespace hears and says in it what its owner does, on all of its networks.
            place = f"in the network namespace of {name_of(owner)}" if within else f"on network {', '.join(joined)}"
            published = f", publishes {', '.join(map(str, ports))}" if ports else ""
            found.append(f"container {name_of(container)} of others {place}{published}")
    return found


def ailing_containers(containers: list[dict[str, Any]], stack: str) -> list[str]:
    """List the stack's containers that are unhealthy, or that the engine starts again and again.

    Those that are stopped or paused differ from what is declared, and are found by that.

    :param containers: the engine's list of them, whose `Status` is a text for people, with the health in brackets.
    """
    own = [one for one in containers if (one.get("Labels") or {}).get(STACK_LABEL) == stack]
    states = {name_of(one): (one.get("State"), str(one.get("Status") or "")) for one in own}
    return [
        f"container {name} is {'restarting' if state == 'restarting' else 'unhealthy'}"
        for name, (state, status) in sorted(states.items())
        if state == "restarting" or (state == "running" and status.endswith("(unhealthy)") and still_ails(name))
    ]


def still_ails(name: str) -> bool:
    """Say whether an unhealthy container's health check fails now as well: the engine's last look may be old."""
    inspected = ask(SOCKET, f"/containers/{name}/json") or {}
    return not (check_of(inspected).get("Test") and run_check(name, inspected)[0])


def programs(volumes: str) -> list[str]:
    """List the programs among the sites' uploads."""
    sites = os.path.join(volumes, "sites")
    found = []
    for site in sorted(os.listdir(sites)) if os.path.isdir(sites) else []:
        uploads = os.path.join(sites, site, "wp-content", "uploads")
        files = sorted(
            os.path.relpath(os.path.join(folder, name), uploads)
            for folder, _, names in os.walk(uploads)
            for name in names
            if PROGRAM.search(name)
        )
        found += [f"program among the uploads of site {site}: {name}" for name in files[:MOST]]
        if len(files) > MOST:
            found.append(f"program among the uploads of site {site}: {len(files) - MOST} more")
    return found


def healed_containers(text: str, now: dt.datetime) -> list[str]:
    """List what the healer has started again within a day, from its record (roles/healer/files/healer.py).

    :param text: of its file, empty where there is none. What cannot be read is told, for somebody has changed it.
    """
    if not text:
        return []
    try:
        heals = [
            (dt.datetime.fromisoformat(one["at"]).astimezone(dt.timezone.utc), one["container"], one["why"])
            for one in json.loads(text)["heals"]
        ]
    except (ValueError, KeyError, TypeError):
        return ["the healer's record cannot be read"]
    found: dict[str, list[tuple[dt.datetime, str]]] = {}
    for at, name, why in heals:
        if now - at < DAY:
            found.setdefault(name, []).append((at, why))
    return [
        f"container {name} was started again by the healer, {len(times)} time{'' if len(times) == 1 else 's'} within a"
        f" day, last at {times[-1][0]:%Y-%m-%dT%H:%M:%SZ}: {times[-1][1]}"
        for name, times in sorted(found.items())
    ]


def read(path: str) -> str:
    """Return a file's text, empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "volumes": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    # Where no engine answers, there is no container of anybody.
    containers, networks = ask(SOCKET, "/containers/json?all=1") or [], ask(SOCKET, "/networks") or []
    stack = module.params["stack"]
    module.exit_json(
        changed=False,
        strangers=foreign_containers(containers, networks, stack) + programs(module.params["volumes"]),
        ailing=ailing_containers(containers, stack)
        + healed_containers(read(os.path.join(module.params["volumes"], HEALS)), dt.datetime.now(dt.timezone.utc)),
    )


if __name__ == "__main__":
    main()
