# SPDX-License-Identifier: MIT
"""Filters of the container role: what is declared, compared with what the engine says it has.

All are pure: they take the declared services and the engine's listing (as `engine_look` returns it)
and say what is missing, so that a run which changes nothing asks the engine once and calls no further module.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.errors import AnsibleFilterError

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from module_utils import engine_api, handover

DIGEST_LENGTH = 16
"""Hexadecimal digits of a content digest that make an image's tag: 64 bits tell a stack's images apart."""

ISOLATION_OPTION = "com.docker.network.bridge.enable_icc"
"""The engine's bridge option that lets containers on one network reach each other; "false" keeps them apart."""

MTU_OPTION = "com.docker.network.driver.mtu"

VOLUME_DRIVER = "local"
VOLUME_OPTIONS = {"type": "none", "o": "bind"}
"""What makes a volume of the engine's stand for a directory of the host."""

MARGIN_OF_CHECK = 5
"""Seconds by which the engine waits longer for a health check than this has: for its start, and for its last words."""

ENGINE_SOCKET = "/run/docker.sock"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


def context_digest(files: Mapping[str, str], *inputs: str) -> str:
    """Digest a build context.

    :param files: context file name to its rendered text. Modes are not part of it: every file of a context is
        written with the same mode, a Dockerfile that needs another one sets it.
    :param inputs: whatever else the image depends on (the image epoch).
    :return: the first 16 hexadecimal digits of a SHA-256 over a canonical JSON form.
    """
    document = json.dumps([sorted((str(k), str(v)) for k, v in files.items()), [str(i) for i in inputs]])
    return hashlib.sha256(document.encode()).hexdigest()[:DIGEST_LENGTH]


def service_images(services: Iterable[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """List all images of services, each with its service; a service's further images come before its own.

    :raises AnsibleFilterError: when two have one name.
    """
    images: list[tuple[Mapping[str, Any], dict[str, Any]]] = []
    for service in services:
        images += [(service, dict(image)) for image in service.get("further_images") or []]
        images.append((service, {**service["image"], "name": service["name"]}))
    names = [image["name"] for _, image in images]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnsibleFilterError(f"more than one image is called {', '.join(twice)}")
    return images


def missing_images(images: Mapping[str, Mapping[str, Any]], listing: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the images that the engine does not hold.

    A tag that was moved to another image counts as missing: the digest is also a label of the image itself.

    :param images: name to ``{reference, digest}``.
    :param listing: ``engine_look``'s images (``RepoTags`` and ``Labels`` may be null).
    """
    present = {
        tag: (image.get("Labels") or {}).get("pressdock.digest")
        for image in listing
        for tag in image.get("RepoTags") or []
    }
    return [name for name, image in images.items() if present.get(image["reference"]) != image["digest"]]


def needed_images(
    services: Iterable[Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
    contexts: Mapping[str, Mapping[str, str]],
) -> list[str]:
    """Name the images that services need: their own, those that ship them contents, and what all these start from.

    :param images: name to ``{reference}``.
    :param contexts: name to the files of its build context, of all planned images and in the order of their planning.
    """
    services = list(services)
    needed = {image["name"] for _, image in service_images(services)}
    needed |= {content["image"] for service in services for content in service.get("contents") or []}
    # What an image starts from is planned before it.
    for name in reversed(list(contexts)):
        if name in needed:
            dockerfile = contexts[name]["Dockerfile"]
            needed |= {other for other in contexts if images[other]["reference"] in dockerfile}
    return [name for name in contexts if name in needed]


def build_waves(
    missing: Iterable[str], images: Mapping[str, Mapping[str, Any]], contexts: Mapping[str, Mapping[str, str]]
) -> list[list[str]]:
    """Order builds: each wave only starts from images of earlier waves and is built in parallel.

    An image depends on another one whose reference stands in its Dockerfile (FROM, COPY --from).

    :param images: service name to ``{reference}``.
    :param contexts: service name to the files of its build context.
    :raises AnsibleFilterError: when images start from each other in a circle.
    """
    waiting = set(missing)
    after = {
        name: {other for other in waiting if images[other]["reference"] in contexts[name]["Dockerfile"]}
        for name in waiting
    }
    waves: list[list[str]] = []
    while waiting:
        wave = sorted(name for name in waiting if not after[name] & waiting)
        if not wave:
            raise AnsibleFilterError(f"the images of {', '.join(sorted(waiting))} start from each other")
        waves.append(wave)
        waiting -= set(wave)
    return waves


def build_lines(message: str, count: int) -> str:
    """Shorten what `docker_image` says of a build that failed to its reason and the last *count* lines of its output.

    :param message: the module's message, which holds the whole output as one Python list.
    """
    reason, found, output = message.partition(", logs: [")
    if not found:
        return message
    try:
        lines = [line for part in ast.literal_eval("[" + output) for line in str(part).splitlines()]
    except (SyntaxError, ValueError):
        lines = output.splitlines()
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in lines]
    return "\n".join([*[line for line in plain if line][-count:], reason])


def context_trees(
    contexts: Mapping[str, Mapping[str, str]], names: Iterable[str], data_dir: str
) -> list[dict[str, Any]]:
    """Turn the contexts of the named services into trees for `host_files`."""
    return [{"path": f"{data_dir}/build/{name}", "files": dict(contexts[name])} for name in names]


def superseded_images(
    listing: Iterable[Mapping[str, Any]], stack: str, images: Mapping[str, Mapping[str, Any]], keep: int
) -> list[str]:
    """List the ids of images of this stack that no service uses any more, beyond the newest *keep* of each service.

    The kept ones allow a rollback without a build. A build also leaves the images of its earlier stages, which have
    no tag but the same digest: they stay and go with the image that they were built for. Services that are not in
    *images* (a run of one role only) are left alone. What an image that stays was built on stays as well, for the
    engine would not remove it.

    :param listing: as `engine_api.images_with_ancestors` returns it.
    """
    newest: dict[str, dict[str, int]] = {name: {} for name in images}
    candidates: list[tuple[int, str, str, str]] = []
    listed = list(listing)
    for image in listed:
        labels = image.get("Labels") or {}
        service, digest = str(labels.get("pressdock.service")), str(labels.get("pressdock.digest"))
        if labels.get("pressdock.stack") != stack or service not in images or digest == images[service]["digest"]:
            continue
        created = int(image["Created"])
        candidates.append((created, str(image["Id"]), service, digest))
        if image.get("RepoTags"):
            newest[service][digest] = max(created, newest[service].get(digest, 0))
    kept = {
        (service, digest)
        for service, digests in newest.items()
        for digest in sorted(digests, key=lambda digest: digests[digest], reverse=True)[:keep]
    }
    superseded = [
        identifier
        for _, identifier, service, digest in sorted(candidates, reverse=True)
        if (service, digest) not in kept
    ]
    needed = {
        ancestor for image in listed if image["Id"] not in superseded for ancestor in image.get("Ancestors") or []
    }
    return [identifier for identifier in superseded if identifier not in needed]


def container_networks(services: Iterable[Mapping[str, Any]]) -> list[str]:
    """Collect the names of all networks that the services' containers join."""
    return sorted({n for s in services for c in s["containers"] for n in c.get("networks", [])})


def network_changes(
    names: Iterable[str],
    listing: Iterable[Mapping[str, Any]],
    stack: str,
    external: Iterable[str],
    mtu: Any = 0,
    ipv6: Mapping[str, str] | None = None,
    *,
    missing_only: bool = False,
) -> list[dict[str, Any]]:
    """List the networks that are missing or have other options than declared.

    :param names: short names of the declared networks.
    :param listing: ``engine_look``'s networks.
    :param external: short names of those that lead outside; all others are internal.
    :param mtu: size of the largest packet on each of them; 0 for the engine's own.
    :param ipv6: short names of those that have IPv6 as well, to their ranges.
    :param missing_only: leave those as they are that exist.
    :return: one ``{name, internal, options}`` per network to (re)create, with the engine's full name, and ``subnet``
        where it has IPv6. Containers that
        share a way outside do not see each other on it: a conversation has a network of its own.
    """
    actual = {network["Name"]: network for network in listing}
    leading_out = set(external)
    changes = []
    for name in names:
        internal = name not in leading_out
        options = {} if internal else {ISOLATION_OPTION: "false"}
        if int(mtu):
            options[MTU_OPTION] = str(mtu)
        declared: dict[str, Any] = {"name": f"{stack}-{name}", "internal": internal, "options": options}
        subnets = [ipv6[name]] if ipv6 and name in ipv6 else []
        if subnets:
            declared["subnet"] = subnets[0]
        network = actual.get(declared["name"])
        if network and missing_only:
            continue
        if (
            network is None
            or network.get("Driver") != "bridge"
            or network.get("Internal") != internal
            or network.get("Attachable")
            or bool(network.get("EnableIPv6")) != bool(subnets)
            or [subnet for subnet in network.get("Subnets") or [] if ":" in subnet] != subnets
            or (network.get("Options") or {}) != options
            or (network.get("Labels") or {}).get("pressdock.stack") != stack
        ):
            changes.append(declared)
    return changes


def container_volumes(services: Iterable[Mapping[str, Any]], stack: str, data_dir: str) -> list[dict[str, Any]]:
    """Collect the volumes of all services: engine name, directory on the host, owning user, what belongs to it.

    Those that hold nothing of their own (``may_be_empty``) say so.

    :raises AnsibleFilterError: when two containers declare one volume with different places or owners.
    """
    volumes: dict[str, dict[str, Any]] = {}
    remade: set[str] = set()
    for service in services:
        for container in service["containers"]:
            for volume in container.get("volumes", []):
                name = f"{stack}-{volume['name']}"
                declared: dict[str, Any] = {
                    "name": name,
                    "directory": f"{data_dir}/volumes/{volume.get('location', volume['name'])}",
                    "owner": volume.get("owner", container["user"]),
                }
                if "belongings" in volume:
                    declared["belongings"] = volume["belongings"]
                # Who else mounts it need not say what belongs to it.
                known = volumes.setdefault(name, declared)
                known |= {"belongings": declared["belongings"]} if "belongings" in declared else {}
                if {**known, "belongings": None} != {**declared, "belongings": None}:
                    raise AnsibleFilterError(f"volume {volume['name']}: declared twice with different place or owner")
                if volume.get("may_be_empty"):
                    remade.add(name)
    return sorted(
        (volume | {"may_be_empty": True} if name in remade else volume for name, volume in volumes.items()),
        key=lambda volume: str(volume["directory"]),
    )


def volume_changes(declared: Iterable[Mapping[str, str]], listing: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """List the declared volumes that are missing.

    :param listing: ``engine_look``'s volumes.
    """
    present = {volume["Name"] for volume in listing}
    return [dict(volume) for volume in declared if volume["name"] not in present]


def misplaced_volumes(
    declared: Iterable[Mapping[str, str]], listing: Iterable[Mapping[str, Any]], stack: str
) -> list[str]:
    """Say, a line each, which of the declared volumes lead to another directory than declared, or are others otherwise.

    No run can put that right: whatever is there may be the only copy of somebody's data.

    :param listing: ``engine_look``'s volumes.
    """
    actual = {volume["Name"]: volume for volume in listing}
    problems = []
    for volume in declared:
        name, directory = volume["name"], volume["directory"]
        if name not in actual:
            continue
        options = actual[name].get("Options") or {}
        place = options.get("device") or "storage of the engine"
        driver = actual[name].get("Driver")
        kind = {option: options.get(option) or "" for option in VOLUME_OPTIONS}
        owner = (actual[name].get("Labels") or {}).get("pressdock.stack")
        if driver != VOLUME_DRIVER:
            difference = f"is one of the driver {driver}, declared is {VOLUME_DRIVER}"
        elif place != directory:
            difference = f"leads to {place}, declared is {directory}"
        elif kind != VOLUME_OPTIONS:
            difference = f"has the options {written_options(kind)}, declared are {written_options(VOLUME_OPTIONS)}"
        elif owner != stack:
            difference = f"belongs to {f'the stack {owner}' if owner else 'no stack'}, declared is {stack}"
        else:
            continue
        problems.append(
            f"Volume {name} {difference}. Bring its files to {directory} where they are not there, remove it (make"
            f" down, docker volume rm {name}), and run again."
        )
    return problems


def written_options(options: Mapping[str, str]) -> str:
    """Write a volume's options as the engine's client takes them."""
    return ",".join(f"{name}={value}" for name, value in options.items())


def kept_volumes(listing: Iterable[Mapping[str, Any]], declared: Iterable[str], stack: str) -> dict[str, str]:
    """Return the stack's volumes that no service declares any more: short name to its directory on the host.

    :param listing: ``engine_look``'s volumes.
    :param declared: short names of the declared ones.
    """
    known = set(declared)
    names = {volume["Name"].removeprefix(f"{stack}-"): volume for volume in listing if belonging_to([volume], stack)}
    return {
        name: str((volume.get("Options") or {}).get("device") or "")
        for name, volume in sorted(names.items())
        if name not in known
    }


def host_directories(
    volumes: Iterable[Mapping[str, str]], users: Mapping[str, int], data_dir: str
) -> list[dict[str, Any]]:
    """Turn volumes into the directories that `host_files` keeps on the target (parents come first).

    A container that has one above a volume mounted walks through those between the volumes' common place and that
    volume. They may be a volume of a service that is not among these: whose they are is not said here.
    """
    owners = {v["directory"]: users[v["owner"]] for v in volumes}
    above = {str(parent) for directory in owners for parent in PurePosixPath(directory).parents}
    between = {directory for directory in above if directory.startswith(f"{data_dir}/volumes/")} - set(owners)
    owners |= dict.fromkeys(between, -1)
    return [
        {"path": directory, "owner": owner, "group": owner, "mode": "0755"}
        for directory, owner in sorted(owners.items())
    ]


def host_belongings(volumes: Iterable[Mapping[str, Any]], users: Mapping[str, int]) -> list[dict[str, Any]]:
    """Turn volumes all of whose entries belong to their owner into what `host_files` compares."""
    return [
        {"path": volume["directory"], "owner": users[volume["owner"]], "exact": volume["belongings"]["exact"]}
        for volume in volumes
        if "belongings" in volume
    ]


def secret_trees(
    services: Iterable[Mapping[str, Any]], data_dir: str, users: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Turn the containers' secrets into trees for `host_files`: readable by the service's user alone.

    Where a container loads secrets while it runs, also an empty directory is one; and its state is told.
    """
    return [
        {
            "path": f"{data_dir}/secrets/{container['name']}",
            "owner": users[container["user"]],
            "group": users[container["user"]],
            "mode": "0500",
            "file_mode": "0400",
            "files": dict(container.get("secrets") or {}),
            "stated": bool(container.get("reloads_secrets")),
        }
        for service in services
        for container in service["containers"]
        if container.get("secrets") or container.get("reloads_secrets")
    ]


def sealed_containers(containers: Iterable[Mapping[str, Any]], digests: Iterable[str]) -> list[dict[str, Any]]:
    """Replace each container's secrets by their keyed digest (empty where it has none), so that a task may show it.

    What a container loads while it runs does not say which container it is: of such secrets only that there are some,
    and of the configuration its place.

    :param digests: one keyed digest per container, in order.
    """
    sealed = []
    for container, digest in zip(containers, digests, strict=True):
        public = {key: value for key, value in container.items() if key not in {"secrets", "configuration"}}
        if "volumes" in public:
            # What lies in a volume is no property of the container.
            public["volumes"] = [
                {key: value for key, value in volume.items() if key != "belongings"} for volume in public["volumes"]
            ]
        if container.get("configuration"):
            public["configuration"] = container["configuration"]["directory"]
        if container.get("reloads_secrets"):
            sealed.append({**public, "secrets_digest": "reloaded"})
        else:
            sealed.append({**public, "secrets_digest": digest if container.get("secrets") else ""})
    return sealed


def declared_containers(
    containers: Iterable[Mapping[str, Any]], image: Mapping[str, str], common: Any
) -> list[dict[str, Any]]:
    """Add to each sealed container a digest of all that it is declared to be, as ``declared``.

    :param image: the service's ``{reference, digest}``.
    :param common: whatever else decides how a container is made.
    :raises AnsibleFilterError: when one cannot run twice at a time, though it says so.
    """
    containers = list(containers)
    for one in containers:
        if one.get("overlap") and (one.get("ports") or one["overlap"] not in one["networks"]):
            raise AnsibleFilterError(
                f"container {one['name']}: overlap: {one['overlap']!r}: must be one of its networks, and have no ports"
            )
    return [
        {
            **container,
            "declared": engine_api.digest([{**container, "volumes": mounted_volumes(container)}, dict(image), common])[
                :DIGEST_LENGTH
            ],
        }
        for container in containers
    ]


def mounted_volumes(container: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return those of a container's volumes that it mounts by themselves: the others lie within one of these."""
    return [volume for volume in container.get("volumes") or [] if volume.get("path")]


def container_record(declared: str, fingerprint: str) -> dict[str, str]:
    """Return what is recorded of a container that was just compared: what it shall be, and how it was then."""
    return {"declared": declared, "fingerprint": fingerprint}


def container_handover(container: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """Return the engine's name of a container, its ``address`` while it is set aside, and whether it ``overlaps``."""
    name, network = f"{stack}-{container['name']}", container.get("overlap")
    address = handover.overlap_address(stack, container["name"], network) if network else handover.former_name(name)
    return {"name": name, "address": address, "overlaps": bool(network)}


def replaceable_containers(
    containers: Iterable[Mapping[str, Any]], listing: Iterable[Mapping[str, Any]], stack: str
) -> list[Mapping[str, Any]]:
    """Choose the containers to which there would be a way back: they run, or are in the middle of a handover.

    :param listing: the engine's containers.
    """
    running = handover.running_by_name(listing)
    chosen = []
    for container in containers:
        names = container_handover(container, stack)
        if running.get(names["name"]) or names["address"] in running:
            chosen.append(container)
    return chosen


def interrupted_handovers(
    containers: Iterable[Mapping[str, Any]], listing: Iterable[Mapping[str, Any]], stack: str
) -> dict[str, str]:
    """Return the containers whose handover was interrupted: short name to the present name of the one that stays.

    :param listing: the engine's containers.
    """
    running = handover.running_by_name(listing)
    return {
        container["name"]: handover.remaining_name(running, names["name"], names["address"])
        for container in containers
        if (names := container_handover(container, stack))["address"] in running
    }


def is_settled(containers: Iterable[Mapping[str, Any]], stack: str, engine: Mapping[str, Any]) -> bool:
    """Tell whether all containers are healthy, and as they were when last compared with this same declaration.

    :param containers: with ``name`` and ``declared``.
    :param engine: what `engine_look` returned.
    """
    found, records = engine.get("found") or {}, engine.get("records") or {}
    for container in containers:
        name = f"{stack}-{container['name']}"
        state = found.get(name) or {}
        record = container_record(container["declared"], str(state.get("fingerprint")))
        if not state.get("healthy") or records.get(name) != record or state.get("moved"):
            return False
        # A handover that was interrupted has to be taken back.
        if container_handover(container, stack)["address"] in found:
            return False
    return True


def undeclared_options(
    containers: Iterable[Mapping[str, Any]], engine: Mapping[str, Any], stack: str
) -> dict[str, list[str]]:
    """Return what containers have that nobody declares, and that `docker_container` does not compare.

    It compares the options that it is given, and of aliases only whether the declared ones are there. A container that
    is as it was recorded has been compared: an engine with other defaults than those known here has no container made
    again and again.

    :param containers: with ``name``, ``networks`` and ``declared``.
    :param engine: what `engine_look` returned.
    :return: short name to ``mount PATH`` where another directory lies now at the path that was mounted, to the engine's
        names of options, and to ``alias NAME on NETWORK``; none of those that have nothing of it.
    """
    containers = list(containers)
    found, records = engine.get("found") or {}, engine.get("records") or {}
    present = interrupted_handovers(containers, engine.get("containers") or [], stack)
    undeclared = {}
    for container in containers:
        name = present.get(container["name"], f"{stack}-{container['name']}")
        state = found.get(name) or {}
        # Those of volumes end a run before it has begun (ownership.lost_data).
        moved = [f"mount {mount['destination']}" for mount in state.get("moved") or []]
        if moved:
            undeclared[str(container["name"])] = moved
        if not state or records.get(name) == container_record(container["declared"], str(state["fingerprint"])):
            continue
        aliases = [
            f"alias {alias} on {network['name']}"
            for network in container_attachments(container, stack)
            for alias in (state.get("aliases") or {}).get(network["name"]) or []
            if alias not in network["aliases"]
        ]
        options = [*moved, *(state.get("undeclared") or []), *aliases]
        if options:
            undeclared[str(container["name"])] = options
    return undeclared


def record_trees(results: Iterable[Mapping[str, Any]], data_dir: str) -> list[dict[str, Any]]:
    """Turn `docker_container`'s results (of a loop over declared containers) into the trees of their records."""
    return [
        {
            "path": f"{data_dir}/records/{result['item']['name']}",
            "mode": "0700",
            "file_mode": "0600",
            "files": {
                engine_api.RECORD_FILE: json.dumps(
                    container_record(result["item"]["declared"], engine_api.fingerprint(result["container"]))
                    # Whatever it is called later, this one is the stack's.
                    | {"id": result["container"]["Id"]}
                )
            },
        }
        for result in results
        if result.get("container")
    ]


def outside_networks(
    containers: Iterable[Mapping[str, Any]], changes: Iterable[Mapping[str, Any]], stack: str
) -> list[Mapping[str, Any]]:
    """Return those containers that can be compared before the networks of :func:`network_changes` are made.

    They join none of them; one that listens everywhere can be compared without them, but for its first.
    """
    changing = {change["name"].removeprefix(f"{stack}-") for change in changes}
    comparable: list[Mapping[str, Any]] = []
    for container in containers:
        networks = list(container.get("networks") or [])
        if not changing & set(networks):
            comparable.append(container)
        elif container.get("listens_everywhere") and networks[0] not in changing:
            comparable.append({**container, "networks": [name for name in networks if name not in changing]})
    return comparable


def container_attachments(container: Mapping[str, Any], stack: str) -> list[dict[str, Any]]:
    """Write a container's networks for `docker_container`.

    The aliases are the short name that other services use, and that name with the network's behind it: the container's
    address on this one of its networks; and what it declares of further names there (``aliases``).
    """
    name, further = container["name"], container.get("aliases") or {}
    return [
        {"name": f"{stack}-{network}", "aliases": [name, f"{name}.{network}", *further.get(network, [])]}
        for network in container.get("networks", [])
    ]


def kinds_of_actions(result: Mapping[str, Any]) -> set[str]:
    """Return what `docker_container` has done, or would do in a check run (created, started ...; option ``debug``)."""
    return {kind for action in result.get("actions", []) for kind in action}


def reattached_containers(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the engine names of containers that `docker_container` has joined to a network while they ran.

    They may have another address there than the one on which they have been listening since their start; unless they
    listen on all of them.

    :param results: with the module's ``actions`` (its option ``debug``).
    """
    names = []
    for result in results:
        done = kinds_of_actions(result)
        everywhere = (result.get("item") or {}).get("listens_everywhere")
        if "added_to_network" in done and not everywhere and not done & {"created", "started", "restarted"}:
            names.append(result["container"]["Name"].lstrip("/"))
    return names


def overstaying_containers(results: Iterable[Mapping[str, Any]], stack: str) -> list[str]:
    """List the short names of containers that are still on networks which they are not declared to be on.

    :param results: of `docker_container`, in a loop over containers.
    """
    names = []
    for result in results:
        container = result.get("container") or {}
        joined = set((container.get("NetworkSettings") or {}).get("Networks") or {})
        declared = {f"{stack}-{network}" for network in (result.get("item") or {}).get("networks") or []}
        if joined - declared and result["item"].get("listens_everywhere"):
            names.append(str(result["item"]["name"]))
    return names


def unhealthy_containers(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the engine names of those containers that were not healthy when `docker_container` returned them."""
    containers = [result["container"] for result in results if result.get("container")]
    return [
        container["Name"].lstrip("/")
        for container in containers
        if ((container.get("State") or {}).get("Health") or {}).get("Status") != "healthy"
    ]


def health_reports(found: Mapping[str, Mapping[str, Any]], stack: str) -> dict[str, str]:
    """Collect what the last health checks printed of those containers that are healthy.

    :param found: what `engine_look` found, by the engine's names.
    :return: short name to text.
    """
    return {name.removeprefix(f"{stack}-"): str(state["report"]) for name, state in found.items() if state["healthy"]}


def started_containers(
    results: Iterable[Mapping[str, Any]], started: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Put what the engine says of containers that have been started since into `docker_container`'s results.

    :param results: of a loop over containers.
    :param started: what the engine says, by its names of the containers.
    """
    known = {inspected["Id"]: inspected for inspected in started.values()}
    return [
        {**result, "container": known.get(container["Id"], container)}
        if (container := result.get("container"))
        else dict(result)
        for result in results
    ]


def failed_starts(results: Iterable[Mapping[str, Any]], stack: str) -> dict[str, str]:
    """Return why `docker_container` could not do what it should, by the engine's names of the containers.

    :param results: of a loop over containers whose failures are no failures of the task.
    """
    return {
        f"{stack}-{result['item']['name']}": str(result["msg"])
        for result in results
        if result.get("msg") and not result.get("container") and result.get("item")
    }


def container_problems(
    failed: Mapping[str, str], returned: Mapping[str, Any], unhealthy: Mapping[str, str]
) -> list[dict[str, str]]:
    """Write what containers could not be brought to, in the form that the problems role takes.

    :param failed: the engine's name of each, with the reason.
    :param returned: those of them whose predecessors serve again.
    :param unhealthy: those whose predecessors were put back, and do not serve, with the reason.
    """
    problems = []
    for name, reason in failed.items():
        if name in returned:
            serves = "the container that it was to replace."
        elif name in unhealthy:
            serves = f"nothing here: what it was to replace is back, but {unhealthy[name]}"
        else:
            serves = "nothing here; all other containers do."
        advice = f"see what it says (docker logs {name}), put that right, and run again."
        problems.append({"part": f"container {name}", "what": reason, "serves": serves, "advice": advice})
    return problems


def build_problems(
    results: Iterable[Mapping[str, Any]], seconds: int, lines: int, containers: Iterable[str], stack: str
) -> list[dict[str, str]]:
    """Write which images could not be built, in the form that the problems role takes.

    :param results: of the wait for their builds.
    :param seconds: what a build may take.
    :param lines: how many last lines of a build are shown.
    :param containers: the engine's names of the stack's containers.
    """
    running = set(containers)
    return [
        {
            "part": f"image of {result['item']}",
            "what": "could not be built. Last lines of its build:\n"
            + build_lines(result.get("msg") or f"It did not end within {seconds} s.", lines),
            "serves": "the container of the image before it."
            if f"{stack}-{result['item']}" in running
            else "everything but this service.",
            "advice": "put right what the build says, or switch the service off, and run again.",
        }
        for result in results
    ]


def without_noted(failed: Mapping[str, str], noted: Iterable[str], stack: str) -> dict[str, str]:
    """Leave out the containers that were noted before.

    :param failed: the engine's name of each, with the reason.
    :param noted: short names.
    """
    known = {f"{stack}-{name}" for name in noted}
    return {name: reason for name, reason in failed.items() if name not in known}


def running_containers(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the short names of those containers that ran when `docker_container` returned them (in a loop over them)."""
    states = {result["item"]["name"]: (result.get("container") or {}).get("State") or {} for result in results}
    return [name for name, state in states.items() if state.get("Running") and not state.get("Paused")]


def created_containers(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the short names of those containers that `docker_container` has created, or would create in a check run.

    :param results: of a loop over containers, with the module's ``actions`` (its option ``debug``).
    """
    return [result["item"]["name"] for result in results if "created" in kinds_of_actions(result)]


def container_mounts(
    container: Mapping[str, Any], stack: str, data_dir: str, engine: Mapping[str, Any] | None = None
) -> list[str]:
    """Write a container's volumes and its secrets' directory in the engine's ``source:path:mode`` form.

    :param engine: ``engine_look``'s ``info``, for a container that observes the host.
    """
    mounts = [
        f"{stack}-{volume['name']}:{volume['path']}:{'ro' if volume.get('read_only') else 'rw'}"
        for volume in mounted_volumes(container)
    ]
    if container["secrets_digest"]:
        mounts.append(f"{data_dir}/secrets/{container['name']}:/run/secrets:ro")
    # The directory, for its files are replaced by others: a file that is mounted by itself would stay the old one.
    if container.get("configuration"):
        mounts.append(f"{data_dir}/configuration/{container['name']}:{container['configuration']}:ro")
    if container.get("observes_host"):
        mounts += observation_mounts(engine or {})
    elif container.get("asks_engine"):
        mounts.append(f"{ENGINE_SOCKET}:{ENGINE_SOCKET}:ro")
    return mounts


def observation_mounts(engine: Mapping[str, Any]) -> list[str]:
    """List what a container sees of its host that observes it: control groups, processes, the engine and its files.

    Nothing of it can be written; that the engine's socket is mounted read-only does not limit what it can be asked for.

    :param engine: ``engine_look``'s ``info``.
    """
    root = engine.get("DockerRootDir") or "/var/lib/docker"
    mounts = [
        "/sys:/sys:ro",
        "/proc:/rootfs/proc:ro",
        f"{root}:/rootfs{root}:ro",
        f"{ENGINE_SOCKET}:{ENGINE_SOCKET}:ro",
    ]
    # Where images are containerd's, it is asked for a container's place.
    if engine.get("Driver") == "overlayfs":
        mounts.append(f"{CONTAINERD_SOCKET}:{CONTAINERD_SOCKET}:ro")
    return mounts


def container_health_check(
    container: Mapping[str, Any],
    interval: float,
    timeout: float,
    patience: float = 1,
    engine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a container's health check in the engine's words.

    Starting a program in a container costs the engine far more than what most of them do, and for ever. So it asks
    seldom, and one answer counts: a check that fails is tried again within its time, by the base image's ``within``.

    A container that starts is asked every second by engines that can (25.0 and later). Others ask for the first time
    when the interval is over; there, `container_wait` asks.

    The check of a container that starts as root becomes its user first.

    :param container: as the service declares it; its ``healthcheck`` has ``test``, ``start_period`` (seconds) and
        ``seldom``.
    :param interval: seconds between two checks; twice as many for one that is asked seldom.
    :param timeout: seconds in which a check must succeed.
    :param patience: how many times as long everything may take on this machine.
    :param engine: ``engine_look``'s ``info``; none where no engine answers yet.
    """
    check = container["healthcheck"]
    form, *command = check["test"]
    user = container["user"]
    become = (
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if container.get("starts_as_root") else []
    )
    limit = math.ceil(timeout * patience)
    major = str((engine or {}).get("ServerVersion") or "").partition(".")[0]
    return {
        "test": [form, *become, "within", str(limit), *command],
        "interval": f"{interval * (2 if check.get('seldom') else 1):g}s",
        "timeout": f"{limit + math.ceil(MARGIN_OF_CHECK * patience)}s",
        "retries": 1,
        "start_period": f"{math.ceil(check['start_period'] * patience)}s",
        **({"start_interval": "1s"} if major.isdigit() and int(major) >= 25 else {}),
    }


def container_tmpfs(container: Mapping[str, Any], users: Mapping[str, int]) -> list[str]:
    """Write a container's tmpfs mounts (path to further options), owned by its user and without programs."""
    identifier = users[container["user"]]
    common = f"uid={identifier},gid={identifier},mode=0700,noexec,nosuid,nodev"
    return [f"{path}:{common},{options}" for path, options in container.get("tmpfs", {}).items()]


def belonging_to(listing: Iterable[Mapping[str, Any]], stack: str, commands: bool = True) -> list[str]:
    """Name those of the engine's containers or networks that carry the stack's label.

    :param commands: whether containers count that run a command once (`make wp`) and end by themselves.
    """
    return [
        (entry.get("Names") or [entry.get("Name", "")])[0].lstrip("/")
        for entry in listing
        if (labels := entry.get("Labels") or {}).get("pressdock.stack") == stack
        and (commands or engine_api.COMMAND_LABEL not in labels)
    ]


def engine_questions(
    questions: Iterable[Mapping[str, Any]], stack: str, present: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Turn services' questions into those that `container_ask` takes: with the engine's names of their containers.

    :param present: short names of those that are called otherwise at present, to what they are called.
    """
    return [
        {**question, "container": (present or {}).get(question["container"], f"{stack}-{question['container']}")}
        for question in questions
    ]


def container_answers(
    answers: Iterable[Mapping[str, Any]], stack: str, present: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """Return the answers of `container_ask` by the short names of the containers.

    :param present: as `engine_questions` takes it.
    """
    short = {name: container for container, name in (present or {}).items()}
    return {
        short.get(answer["container"], answer["container"].removeprefix(f"{stack}-")): {
            name: answer[name] for name in ("rc", "stdout", "stderr")
        }
        for answer in answers
    }


def silent_container(answer: Mapping[str, Any]) -> str:
    """Say, in a line, why a container has not answered."""
    reason = str(answer["stderr"] or answer["stdout"]).strip() or "no word"
    return f"{answer['container']} does not answer (exit status {answer['rc']}): {reason}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "belonging_to": belonging_to,
            "build_lines": build_lines,
            "build_problems": build_problems,
            "build_waves": build_waves,
            "container_answers": container_answers,
            "container_attachments": container_attachments,
            "container_health_check": container_health_check,
            "container_mounts": container_mounts,
            "container_problems": container_problems,
            "container_networks": container_networks,
            "container_tmpfs": container_tmpfs,
            "container_volumes": container_volumes,
            "context_digest": context_digest,
            "context_trees": context_trees,
            "created_containers": created_containers,
            "container_handover": container_handover,
            "overlap_address": handover.overlap_address,
            "replaceable_containers": replaceable_containers,
            "interrupted_handovers": interrupted_handovers,
            "engine_questions": engine_questions,
            "failed_starts": failed_starts,
            "health_reports": health_reports,
            "host_belongings": host_belongings,
            "host_directories": host_directories,
            "kept_volumes": kept_volumes,
            "missing_images": missing_images,
            "network_changes": network_changes,
            "outside_networks": outside_networks,
            "overstaying_containers": overstaying_containers,
            "reattached_containers": reattached_containers,
            "record_trees": record_trees,
            "sealed_containers": sealed_containers,
            "running_containers": running_containers,
            "secret_trees": secret_trees,
            "silent_container": silent_container,
            "started_containers": started_containers,
            "superseded_images": superseded_images,
            "undeclared_options": undeclared_options,
            "unhealthy_containers": unhealthy_containers,
            "volume_changes": volume_changes,
            "without_noted": without_noted,
        }
