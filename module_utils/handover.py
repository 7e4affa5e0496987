# SPDX-License-Identifier: MIT
"""Replacing a container while it serves: its names, what to do after a run that was interrupted, and when it may end.

A container that overlaps with its successor is addressed as ``CONTAINER.NETWORK``, in the engine's own names. The
engine's name server looks first for a container that is called so as a whole, then for CONTAINER on NETWORK. That
makes three renamings a change of guard without a moment in which the address is nobody's, while no container leaves a
network or changes its address there:

1. The one that serves is renamed to the whole address, and goes on to serve, whoever gets its name.
2. Its successor is created under the name, with all that is declared, and becomes healthy. Nobody talks to it yet.
3. The one that serves is retired: it gets another name, and at that moment the address is the successor's.

Any other container cannot run beside its successor. It is set aside in the same way, under a name that means nothing,
serves until its successor was created, and is stopped when that one starts. It stays until the successor is healthy.

Pure, and used on both sides: by a module on the target and by filters on the controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LISTENING = "0A"
AT_WORK = {"01", "04", "08"}
"""States of a connection (of /proc/net/tcp) that somebody waits for: established, its last data are on their way, half
closed by the client."""


def overlap_address(stack: str, name: str, network: str) -> str:
    """Return the name under which the clients on a network reach a container that overlaps with its successor.

    :param name: short name of the container; likewise the network's.
    """
    return f"{stack}-{name}.{stack}-{network}"


def former_name(name: str) -> str:
    """Return the name under which a container that does not overlap with its successor is set aside.

    :param name: the engine's name of the container.
    """
    return f"{name}.former"


def retired_name(name: str, identifier: str) -> str:
    """Return the engine's name of a container that has handed over its address and ends: nobody else ever has it.

    :param identifier: the engine's id of the container.
    """
    return f"{name}.{identifier[:12]}"


def running_by_name(listing: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Return whether each container runs, by its name.

    :param listing: the engine's list of containers (``Names``, ``State``).
    """
    return {
        name.lstrip("/"): container.get("State") == "running"
        for container in listing
        for name in container.get("Names") or []
    }


def remaining_name(running: Mapping[str, bool], name: str, address: str) -> str:
    """Return who of a container and its successor stays after a handover that was interrupted: its name as it is now.

    It is the container that serves under the address; unless it has died, or was stopped, and the successor runs, which
    then is what there is. Without an interrupted handover it is the container of that name.

    :param running: all containers of the engine, see :func:`running_by_name`.
    """
    return address if address in running and (running[address] or not running.get(name, False)) else name


def waiting_clients(*tables: str) -> int:
    """Count the connections of others to the ports on which somebody listens, those not yet accepted included.

    Not counted are those over the loopback and those from the container's own address: health checks.

    :param tables: contents of /proc/net/tcp and tcp6 in the container's network.
    """
    rows = [line.split()[1:4] for table in tables for line in table.splitlines()[1:] if line.strip()]
    ports = {local.rpartition(":")[2] for local, _, state in rows if state == LISTENING}
    count = 0
    for local, remote, state in rows:
        address, _, port = local.rpartition(":")
        own = address == remote.rpartition(":")[0] or address.endswith("7F") or address == f"{1 << 24:032X}"
        count += state in AT_WORK and port in ports and not own
    return count
