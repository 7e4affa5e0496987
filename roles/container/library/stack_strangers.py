#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""List what stands in a stack and belongs to nobody, in one run that changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: stack_strangers
short_description: List what stands in a stack and belongs to nobody
description:
  - Containers on the stack's networks, or in the network namespace of one of its containers, that do not carry its
    label, with the ports that they publish.
  - Programs among the uploads of the stack's sites. The web server does not run them, but somebody tried.
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
  sample: ["container other on network pressdock-web-blog"]
"""

import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, STACK_LABEL, ask

PROGRAM = re.compile(r"\.(?:ph(?:p[0-9]?|ps|tml?|ar)|cgi|p[ly]|sh)$", re.IGNORECASE)
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
    strangers = foreign_containers(containers, networks, module.params["stack"])
    module.exit_json(changed=False, strangers=strangers + programs(module.params["volumes"]))


if __name__ == "__main__":
    main()
