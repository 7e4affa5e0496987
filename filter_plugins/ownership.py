# SPDX-License-Identifier: MIT
"""Whose a container is, whatever it is called, and where a stack's data are, whatever has their path.

A container of the stack has labels that say which one it is. Somebody may have given it another name, or made a second
one like it. Before a run makes a container, those that claim what is its own (name, data, port, address) are put in
their places or removed; two servers never work on one data directory. And a directory that held data is never made
again as an empty one.

All functions are pure: they compare what services declare with what `engine_look` returned.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from module_utils import engine_api, handover

ALIVE = ("running", "paused", "restarting")
"""States of a container in which it holds its files and ports, or will in a moment."""
PUBLICATION = re.compile(r"(?:.*:)?(?P<first>\d+)(?:-(?P<last>\d+))?:[\d-]+(?:/(?P<protocol>\w+))?")
DELETED = "//deleted"


def name_of(container: Mapping[str, Any]) -> str:
    """Return what a container of the engine's list is called."""
    return str((container.get("Names") or [str(container.get("Id"))[: engine_api.SHORT_ID]])[0]).lstrip("/")


def is_own(container: Mapping[str, Any], stack: str) -> bool:
    """Tell whether a container carries the stack's label."""
    return (container.get("Labels") or {}).get(engine_api.STACK_LABEL) == stack


def exclusive_directories(containers: Iterable[Mapping[str, Any]], data_dir: str) -> dict[str, str]:
    """Return the directories in which one container alone writes: directory to the short name of the volume.

    A container that overlaps with its successor shares them with it.

    :param containers: all declared ones.
    """
    writers: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for container in containers:
        for volume in container.get("volumes") or []:
            if volume.get("path") and not volume.get("read_only"):
                directory = f"{data_dir}/volumes/{volume.get('location', volume['name'])}"
                writers.setdefault(directory, []).append("" if container.get("overlap") else str(container["name"]))
                names[directory] = str(volume["name"])
    return {directory: names[directory] for directory, found in writers.items() if len(found) == 1 and found[0]}


def written_directories(container: Mapping[str, Any], directories: Iterable[str]) -> list[str]:
    """Return those of the directories that a container of the engine's list may write in, as a whole or in part."""
    places = [mount["place"] for mount in container.get("Data") or [] if mount["rw"]]
    return [d for d in directories if any(place == d or place.startswith(f"{d}/") for place in places)]


def foreign_writers(
    containers: Iterable[Mapping[str, Any]], engine: Mapping[str, Any], stack: str, data_dir: str
) -> list[str]:
    """Name, a line each, containers of others that may write where one declared container alone does.

    Two servers on one data directory destroy it, and whoever made that container may need it: it is not ours to stop.
    """
    exclusive = exclusive_directories(containers, data_dir)
    return [
        f"Container {name_of(one)}, which is not the stack's, may write in {directory}: two servers on one"
        f" data directory destroy it. Look what it does, stop it (docker stop {name_of(one)}), and run again."
        for one in engine.get("containers") or []
        if not is_own(one, stack) and one.get("State") in ALIVE
        for directory in written_directories(one, exclusive)
    ]


def published_ports(ports: Iterable[str]) -> set[tuple[int, str]]:
    """Return the ports of the host, with their protocols, that a declared container publishes."""
    found = set()
    for text in ports:
        if match := PUBLICATION.fullmatch(text):
            first = int(match["first"])
            found |= {(port, match["protocol"] or "tcp") for port in range(first, int(match["last"] or first) + 1)}
    return found


class Reclaim:
    """What has to be done so that each container of the stack has its place, and nobody else claims it.

    :param containers: the declared ones that a run is about.
    :param engine: what `engine_look` returned.
    """

    def __init__(
        self, containers: Iterable[Mapping[str, Any]], engine: Mapping[str, Any], stack: str, data_dir: str
    ) -> None:
        self.stack = stack
        self.declared = {str(container["name"]): container for container in containers}
        self.engine = engine
        self.listed = [dict(container) for container in engine.get("containers") or []]
        self.found = engine.get("found") or {}
        self.exclusive = exclusive_directories(self.declared.values(), data_dir)
        self.steps: list[dict[str, str]] = []
        self._gone: set[str] = set()
        self._whole = False

    def run(self, *, whole: bool = True) -> list[dict[str, str]]:
        """Return the steps.

        :param whole: whether all that the stack has is declared here, so that what is not is nobody's.
        """
        self._whole = whole
        own = [
            one
            for one in self.listed
            if is_own(one, self.stack) and engine_api.COMMAND_LABEL not in (one.get("Labels") or {})
        ]
        claimants: dict[str, list[dict[str, Any]]] = {}
        for one in own:
            claimants.setdefault(self._own_name(one), []).append(one)
        keepers = {name: self._keeper(name, claimants.get(name, [])) for name in self.declared}
        for name, keeper in sorted(keepers.items()):
            if keeper:
                self._settle(name, keeper)
        if whole:
            for one in own:
                self._remove_claimer(one)
        # Who leaves makes room for those who come.
        return sorted(self.steps, key=lambda step: step["action"] != "remove")

    def _own_name(self, container: Mapping[str, Any]) -> str:
        return str((self.found.get(name_of(container)) or {}).get("own_name") or "")

    def _places(self, name: str) -> tuple[str, str]:
        """Return the engine's name of a declared container, and the one that it has while it is set aside."""
        full, network = f"{self.stack}-{name}", self.declared[name].get("overlap")
        aside = handover.overlap_address(self.stack, name, network) if network else handover.former_name(full)
        return full, aside

    def _keeper(self, name: str, claimants: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Choose the one that stays of those that claim to be a container, where one of them is out of its place."""
        full, aside = self._places(name)
        astray = [
            one
            for one in claimants
            if name_of(one) not in (full, aside, handover.retired_name(full, one["Id"])) and one["Id"] not in self._gone
        ]
        placed = [one for one in claimants if name_of(one) in (full, aside)]
        retired = [one for one in claimants if one not in astray and one not in placed]
        if not astray and (placed or not retired):
            return None
        # The one that a run has made is known by its id; of others the one in its place, that works, and the oldest.
        kept = min(
            claimants,
            key=lambda one: (
                not self._is_recorded(one),
                one not in placed,
                one.get("State") not in ALIVE,
                int(one.get("Created") or 0),
            ),
        )
        # A handover that was interrupted has two in their places, and a way of its own.
        pair = placed if kept in placed else []
        for other in claimants:
            if other is not kept and other not in pair and (other in astray or kept not in placed):
                self._remove(other, name, f"container {name_of(other)}: another {name} of the stack, removed")
        return kept

    def _is_recorded(self, container: Mapping[str, Any]) -> bool:
        return bool((self.found.get(name_of(container)) or {}).get("recorded"))

    def _settle(self, name: str, kept: Mapping[str, Any]) -> None:
        """Give a container its name back, which somebody else may have."""
        full, aside = self._places(name)
        present = name_of(kept)
        if present in (full, aside):
            return
        for other in self.listed:
            if name_of(other) == full and other["Id"] not in self._gone and self._own_name(other) not in self.declared:
                self._remove(other, name, f"container {full}: has the name of the stack's {name}, removed")
        self.steps.append(
            {
                "action": "rename",
                "container": name,
                "own": "",
                "id": str(kept["Id"]),
                "present": present,
                "name": full,
                "line": f"container {name}: was called {present}, has its name back",
            }
        )

    def _remove_claimer(self, container: Mapping[str, Any]) -> None:
        """Remove a container with the stack's label that nobody declares, if it claims what is a declared one's."""
        if container["Id"] in self._gone or self._own_name(container) in self.declared:
            return
        name = name_of(container)
        claims = [f"the directory {d}" for d in written_directories(container, self.exclusive)]
        taken = {(port.get("PublicPort"), port.get("Type")) for port in container.get("Ports") or []}
        wanted = set().union(*(published_ports(one.get("ports") or []) for one in self.declared.values()))
        claims += [f"port {port}/{protocol}" for port, protocol in sorted(wanted & taken)]
        aliases = (self.found.get(name) or {}).get("aliases") or {}
        claims += [f"the address {alias}" for alias in sorted({a for found in aliases.values() for a in found})
                   if alias.partition(".")[0] in self.declared]  # fmt: skip
        if claims:
            self._remove(container, name, f"container {name}: claims {claims[0]} of the stack, removed")

    def _remove(self, container: Mapping[str, Any], name: str, line: str) -> None:
        if container["Id"] in self._gone:
            return
        self._gone.add(str(container["Id"]))
        own = self._own_name(container)
        self.steps.append(
            {
                "action": "remove",
                "container": name,
                # What there is of nobody's but its own goes with it: secrets, configuration, records.
                "own": own if self._whole and own not in self.declared else "",
                "id": str(container["Id"]),
                "present": name_of(container),
                "name": "",
                "line": line,
            }
        )


def engine_after(engine: Mapping[str, Any], steps: Iterable[Mapping[str, str]]) -> dict[str, Any]:
    """Return what `engine_look` would return after steps of :class:`Reclaim`."""
    steps = list(steps)
    if not steps:
        return dict(engine)
    gone = {step["id"] for step in steps if step["action"] == "remove"}
    renamed = {step["id"]: step["name"] for step in steps if step["action"] == "rename"}
    containers, names = [], {}
    for container in engine.get("containers") or []:
        if container["Id"] in gone:
            continue
        present = name_of(container)
        names[present] = renamed.get(container["Id"], present)
        containers.append({**container, "Names": [f"/{names[present]}"]})
    return {
        **engine,
        "containers": containers,
        **{
            part: {names[name]: entry for name, entry in (engine.get(part) or {}).items() if name in names}
            for part in ("found", "records")
        },
    }


def lost_data(volumes: Iterable[Mapping[str, Any]], engine: Mapping[str, Any]) -> list[str]:
    """Say, a line each, which of the declared volumes are not where they belong, though they were there.

    No run makes an empty directory in the place of one that held data, or lets a container go on in another one than
    has the path.

    :param volumes: of `container_volumes`.
    :param engine: what `engine_look` returned: its volumes alone were there.
    """
    directories = engine.get("directories") or {}
    lines = []
    for volume in volumes:
        state = directories.get(volume["name"])
        if not state or state["path"] != volume["directory"]:
            continue
        line = _lost(volume, state, _users(volume["name"], engine))
        if line:
            lines.append(line)
    return lines


def _users(volume: str, engine: Mapping[str, Any]) -> dict[str, str]:
    """Return the containers that have another directory mounted than the one at a volume's path, and where it is."""
    return {
        name: str(mount["now"])
        for name, state in sorted((engine.get("found") or {}).items())
        for mount in state.get("moved") or []
        if mount["volume"] == volume
    }


def _lost(volume: Mapping[str, Any], state: Mapping[str, Any], users: Mapping[str, str]) -> str:
    path = volume["directory"]
    anew = f"If it is to begin empty: make down, docker volume rm {volume['name']}, make up."
    there = state["kind"] in ("directory", "empty")
    if users:
        now = next((place for place in users.values() if place), "")
        known = bool(now) and not now.endswith(DELETED)
        where = f", which is {now} now" if known else ", which was deleted" if now else ""
        back = f"Bring it back (mv {now} {path})" if known else "Bring it back from a backup"
        other = f" {path} is another one: if it is the right one (a backup that was brought back), make down, make up."
        return (
            f"Volume {volume['name']}: {path} {'is another directory than' if there else 'is not'} the one that"
            f" {', '.join(users)} use{'s' if len(users) == 1 else ''}{where}. {back} and run again."
            f"{other if there else ''} {anew}"
        )
    if state["kind"] in ("link", "file"):
        what = "a symbolic link" if state["kind"] == "link" else "a file"
        return f"Volume {volume['name']}: {path} is {what}, and was a directory. Bring that back and run again. {anew}"
    if state["kind"] == "missing":
        return (
            f"Volume {volume['name']}: its directory {path} is not there any more. Look whether it was moved, or"
            f" whether its disk is mounted, or bring it back from a backup, and run again. {anew}"
        )
    if state["kind"] == "empty" and state["held"] and not volume.get("may_be_empty"):
        return (
            f"Volume {volume['name']}: its directory {path} is empty, and held data. Look whether its disk is mounted,"
            f" or bring them back from a backup, and run again. {anew}"
        )
    return ""


def unmarked_volumes(volumes: Iterable[Mapping[str, Any]], engine: Mapping[str, Any]) -> list[str]:
    """Name the volumes that hold something, which is not noted yet."""
    directories = engine.get("directories") or {}
    states = {volume["name"]: directories.get(volume["name"]) or {} for volume in volumes}
    return [name for name, state in states.items() if state.get("kind") == "directory" and not state.get("held")]


def own_directories(names: Iterable[str], engine: Mapping[str, Any], stack: str, declared: Iterable[str]) -> list[str]:
    """Return the short names of containers, by the engine's names, whose secrets and records go with them.

    None that is no plain name: it becomes a path. None that is a declared container's as well.
    """
    found = engine.get("found") or {}
    short = {str((found.get(name) or {}).get("own_name") or name.removeprefix(f"{stack}-")) for name in names}
    return sorted(name for name in short - set(declared) if engine_api.SHORT_NAME.fullmatch(name))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"lost_data": lost_data, "own_directories": own_directories, "unmarked_volumes": unmarked_volumes}
