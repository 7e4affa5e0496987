# SPDX-License-Identifier: MIT
"""The engine as this project's modules ask it: over its socket, so that the target needs no client and no library.

Also used on the controller (`fingerprint`), so it imports nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import socket
import stat
from pathlib import Path
from typing import Any

SOCKET = "/var/run/docker.sock"
TIMEOUT = 30
"""Seconds for one answer: a busy engine takes its time, one that hangs must not hold a run."""

STACK_LABEL = "pressdock.stack"
SERVICE_LABEL = "pressdock.service"
CONTAINER_LABEL = "pressdock.container"
"""Short name of a container of the stack, whatever it is called."""
COMMAND_LABEL = "pressdock.command"
"""Marks a container that runs a command once (`make wp`) and ends by itself: no run compares or removes it."""
SHORT_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
HELD = "records/.held"
"""Below the stack's directory: an empty file for each volume that has held something. No container is called so."""
LOST_AND_FOUND = "lost+found"
PROCESSES = "/proc"
RECORD_FILE = "record.json"
NO_TAG = "<none>:<none>"
"""What engines before 24 list as the tag of an image that has none."""

UNDECLARED_OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "HostConfig": {
        "AutoRemove": (),
        "BlkioDeviceReadBps": (),
        "BlkioDeviceReadIOps": (),
        "BlkioDeviceWriteBps": (),
        "BlkioDeviceWriteIOps": (),
        "BlkioWeight": (),
        "BlkioWeightDevice": (),
        "CgroupParent": (),
        "CpuPeriod": (),
        "CpuQuota": (),
        "CpuRealtimePeriod": (),
        "CpuRealtimeRuntime": (),
        "CpuShares": (),
        "CpusetCpus": (),
        "CpusetMems": (),
        "DeviceCgroupRules": (),
        "DeviceRequests": (),
        "DnsOptions": (),
        "DnsSearch": (),
        "IpcMode": ("private", "shareable"),
        "MemoryReservation": (),
        "MemorySwappiness": (-1,),
        "OomKillDisable": (),
        "OomScoreAdj": (),
        "PidMode": (),
        "PublishAllPorts": (),
        "Runtime": ("runc", "docker-runc", "io.containerd.runc.v1", "io.containerd.runc.v2"),
        "ShmSize": (64 << 20,),
        "StorageOpt": (),
        "UTSMode": (),
        "UsernsMode": (),
        "VolumeDriver": (),
    },
    "Config": {"Domainname": (), "OpenStdin": (), "StdinOnce": (), "Tty": ()},
}
"""What no container of this project declares, by the engine's names, and what engines say of it by default besides
nothing. Not in it is what has a default of the image's (the working directory) or of the host's (the control groups'
name space)."""
NOTHING: tuple[Any, ...] = (None, 0, "", [], {})
"""How engines say that an option was not given: 0 is also False."""
SHORT_ID = 12
"""Digits of a container's id that engines before 25 list among its aliases."""


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the engine's Unix socket."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def answer(path: str, question: str, timeout: float = TIMEOUT) -> Any:
    """Return the engine's answer to a GET request.

    :param path: of the engine's socket.
    :param question: path of the engine's API, with its query.
    :param timeout: seconds that it may take.
    :raises OSError: when it does not answer, with the reason.
    """
    connection = EngineConnection(path, timeout)
    try:
        connection.request("GET", question)
        response = connection.getresponse()
        text = response.read()
        found = json.loads(text) if response.status == http.client.OK else None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise OSError(f"{path}: {reason}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise OSError(f"{path}: {question}: {response.status} {text.decode(errors='replace').strip()}")
    return found


def ask(path: str, question: str) -> Any:
    """Return what `answer` does, or nothing when the engine does not answer."""
    try:
        return answer(path, question)
    except OSError:
        return None


def described(info: dict[str, Any]) -> dict[str, Any]:
    """Return what is needed of the engine's description of itself."""
    return {
        name: info.get(name) for name in ("DefaultAddressPools", "DockerRootDir", "Driver", "Labels", "ServerVersion")
    }


def ask_again(path: str, question: str) -> Any:
    """Return the answer to a further question of an engine that has answered; OSError when it does not any more."""
    answer = ask(path, question)
    if answer is None:
        raise OSError(f"the engine at {path} did not answer {question}")
    return answer


def tell(path: str, method: str, request: str, timeout: float = TIMEOUT, document: Any = None) -> None:
    """Have the engine do something.

    :param request: path of the engine's API, with its query.
    :param timeout: seconds that it may take.
    :param document: what the request says besides, as JSON.
    :raises OSError: when the engine refuses, or does not answer in time.
    """
    connection = EngineConnection(path, timeout)
    try:
        if document is None:
            connection.request(method, request)
        else:
            connection.request(method, request, json.dumps(document), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except http.client.HTTPException as error:
        raise OSError(f"{method} {request}: {error}") from error
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST:
        raise OSError(f"{method} {request}: {response.status} {text}")


def digest(document: Any) -> str:
    """Return the SHA-256 of anything that JSON can say."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def fingerprint(inspected: dict[str, Any]) -> str:
    """Digest everything of a container that somebody can change: what it was made with, its networks, whether it runs.

    What differs without anybody's doing is left out: addresses, times, process numbers, what a health check said. So is
    the name, by which it is looked for.

    :param inspected: the engine's answer about one container.
    """
    state = inspected.get("State") or {}
    settings = inspected.get("NetworkSettings") or {}
    networks = {
        name: {
            "id": network.get("NetworkID"),
            "aliases": sorted(network.get("Aliases") or []),
            "ipam": network.get("IPAMConfig"),
            "links": network.get("Links"),
        }
        for name, network in (settings.get("Networks") or {}).items()
    }
    return digest(
        {
            "id": inspected.get("Id"),
            "image": inspected.get("Image"),
            "path": inspected.get("Path"),
            "arguments": inspected.get("Args"),
            "config": inspected.get("Config"),
            "host": inspected.get("HostConfig"),
            "mounts": sorted(json.dumps(mount, sort_keys=True) for mount in inspected.get("Mounts") or []),
            "networks": networks,
            "ports": settings.get("Ports"),
            "running": [state.get(name) for name in ("Running", "Paused", "Restarting", "Dead")],
        }
    )


def undeclared_options(inspected: dict[str, Any]) -> list[str]:
    """Name the options of a container that this project never declares and that have another value than by default.

    :param inspected: the engine's answer about one container.
    """
    return sorted(
        name
        for part, options in UNDECLARED_OPTIONS.items()
        for name, defaults in options.items()
        if (inspected.get(part) or {}).get(name) not in (*NOTHING, *defaults)
    )


def given_aliases(inspected: dict[str, Any]) -> dict[str, list[str]]:
    """Return a container's aliases on each of its networks, without those that some engines add by themselves.

    :param inspected: the engine's answer about one container.
    """
    own = {
        str(inspected.get("Id"))[:SHORT_ID],
        str(inspected.get("Name")).lstrip("/"),
        (inspected.get("Config") or {}).get("Hostname"),
    }
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: sorted(set(network.get("Aliases") or []) - own) for name, network in networks.items()}


def own_name(labels: dict[str, str] | None, hostname: str | None, name: str, stack: str) -> str:
    """Return the short name that a container of the stack was made with; of one without a label it is a guess.

    :param name: what it is called now.
    """
    label = str((labels or {}).get(CONTAINER_LABEL) or "")
    if SHORT_NAME.fullmatch(label):
        return label
    plain = name.removeprefix(f"{stack}-").partition(".")[0]
    # Made before there was this label: then the name of its host is the short one, but not an id, as by default.
    own = (labels or {}).get(SERVICE_LABEL) and not name.startswith(f"{stack}-")
    guess = str(hostname) if own and hostname and not re.fullmatch("[0-9a-f]{12}", str(hostname)) else plain
    return guess if SHORT_NAME.fullmatch(guess) else ""


def kind_of_directory(path: str) -> str:
    """Say whether a path is a `directory` or an `empty` one, a `link`, a `file`, or `missing`."""
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISDIR(mode):
            return "link" if stat.S_ISLNK(mode) else "file"
        with os.scandir(path) as entries:
            return "directory" if any(entry.name != LOST_AND_FOUND for entry in entries) else "empty"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"


def mounts_of(process: str) -> list[tuple[str, str, str]]:
    """Return each mount of a process (device, path in its file system, mount point), the last one first."""
    try:
        lines = Path(f"{PROCESSES}/{process}/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    unescaped = [[re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), w) for w in line.split()] for line in lines]
    return [(words[2], words[3], words[4]) for words in reversed(unescaped)]


def present_place(process: int, destination: str) -> str:
    """Say where on the host the directory is now that a process has mounted; nothing where that cannot be known.

    A directory that was deleted has ``//deleted`` behind its last path.
    """
    found = [(device, root) for device, root, point in mounts_of(str(process)) if point == destination]
    for device, root in found[:1]:
        for host_device, host_root, point in mounts_of("self"):
            base = host_root.rstrip("/")
            if host_device == device and (root == host_root or root.startswith(f"{base}/")):
                return f"{point.rstrip('/')}/{root.removeprefix(base).lstrip('/')}"
    return ""


def identity(path: str) -> tuple[int, int] | None:
    """Return what tells a directory from every other one; nothing where it is not there, or cannot be seen."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def moved_mounts(inspected: dict[str, Any], devices: dict[str, str], data_dir: str) -> list[dict[str, str]]:
    """List the mounts of a running container that are other directories by now than those at the paths they came from.

    Somebody has moved, deleted or covered the directory since: the container goes on with the one that it has.

    :param devices: name of a volume to its directory.
    :return: for each its `destination`, the `path` on the host, the name of the `volume`, if it is one, and where the
        directory is `now`, if that is known.
    """
    process = (inspected.get("State") or {}).get("Pid") or 0
    moved = []
    for mount in inspected.get("Mounts") or []:
        volume = str(mount.get("Name") or "") if mount.get("Type") == "volume" else ""
        path = devices.get(volume, "") if volume else str(mount.get("Source") or "")
        destination = str(mount.get("Destination") or "")
        if not process or not path.startswith(f"{data_dir}/"):
            continue
        mounted = identity(f"{PROCESSES}/{process}/root{destination}")
        if mounted is not None and mounted != identity(path):
            now = present_place(process, destination)
            moved.append({"destination": destination, "path": path, "volume": volume, "now": now})
    return moved


def data_mounts(container: dict[str, Any], devices: dict[str, str], data_dir: str) -> list[dict[str, Any]]:
    """List what a container has mounted of the stack's directory (`place`), and whether it may write there (`rw`)."""
    found, own = [], os.path.realpath(data_dir)
    for mount in container.get("Mounts") or []:
        name = str(mount.get("Name") or "") if mount.get("Type") == "volume" else ""
        place = os.path.realpath(devices.get(name) or str(mount.get("Source") or "/nowhere"))
        if place == own or place.startswith(f"{own}/"):
            found.append({"place": f"{data_dir}{place.removeprefix(own)}", "rw": bool(mount.get("RW"))})
    return found


def directories_of(devices: dict[str, str], data_dir: str) -> dict[str, dict[str, Any]]:
    """Return of each volume its `path`, its `kind` (see `kind_of_directory`), and whether it has `held` something."""
    return {
        name: {
            "path": path,
            "kind": kind_of_directory(path),
            "held": (Path(data_dir) / HELD / name).exists(),
        }
        for name, path in devices.items()
    }


def look(path: str, stack: str, data_dir: str) -> dict[str, Any]:
    """Return what the engine has, in the engine's words, and what it says of each of the stack's containers.

    :param path: of the engine's socket.
    :param stack: the stack's name, as its label carries it.
    :param data_dir: the stack's directory, below which the records of its containers are kept.
    :return: nothing but `info` (none) where no engine answers. `Subnets` of a network are its ranges of addresses.
        `Data` of a container is what it has mounted of the stack's directory. `found` is a dict of a container's name
        to its fingerprint, its undeclared options, its aliases, its own short name, whether it is the one that
        was recorded under that, which of its mounts are other directories by now, whether it is healthy, and what its
        health check printed last; `records` is one of its name to what was recorded when it was last compared.
        `directories` is one of a volume's name to what is at its path.
    :raises OSError: when the engine stops answering in the middle.
    """
    info = ask(path, "/info")
    if info is None:
        return {"info": None}
    containers = ask_again(path, "/containers/json?all=1")
    volumes = ask_again(path, "/volumes").get("Volumes") or []
    devices = {volume["Name"]: str((volume.get("Options") or {}).get("device") or "") for volume in volumes}
    found: dict[str, dict[str, Any]] = {}
    records: dict[str, dict[str, Any]] = {}
    for container in containers:
        if (container.get("Labels") or {}).get(STACK_LABEL) != stack:
            continue
        inspected = ask(path, f"/containers/{container['Id']}/json")
        if inspected is None:
            continue
        name = inspected["Name"].lstrip("/")
        health = (inspected.get("State") or {}).get("Health") or {}
        own = own_name(container["Labels"], (inspected.get("Config") or {}).get("Hostname"), name, stack)
        records[name] = read_record(data_dir, own)
        found[name] = {
            "fingerprint": fingerprint(inspected),
            "undeclared": undeclared_options(inspected),
            "aliases": given_aliases(inspected),
            "own_name": own,
            "recorded": records[name].pop("id", "") == container["Id"],
            "moved": moved_mounts(inspected, devices, data_dir),
            "healthy": health.get("Status") == "healthy",
            "report": str(((health.get("Log") or [{}])[-1]).get("Output") or "").strip(),
        }
    return {
        "info": described(info),
        "containers": [
            {
                **{name: container.get(name) for name in ("Id", "Names", "Labels", "Ports", "State", "Created")},
                "Data": data_mounts(container, devices, data_dir),
            }
            for container in containers
        ],
        # With what lies between them: that alone tells which image was built on which.
        "images": images_with_ancestors(ask_again(path, "/images/json?all=1")),
        "networks": [
            {
                **{
                    name: network.get(name)
                    for name in ("Name", "Driver", "Internal", "Attachable", "EnableIPv6", "Options", "Labels")
                },
                "Subnets": [part["Subnet"] for part in (network.get("IPAM") or {}).get("Config") or []],
            }
            for network in ask_again(path, "/networks")
        ],
        "volumes": [{name: volume.get(name) for name in ("Name", "Driver", "Options", "Labels")} for volume in volumes],
        "directories": directories_of(
            {
                volume["Name"]: devices[volume["Name"]]
                for volume in volumes
                if (volume.get("Labels") or {}).get(STACK_LABEL) == stack and devices[volume["Name"]]
            },
            data_dir,
        ),
        "found": found,
        "records": records,
    }


def images_with_ancestors(listing: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the images that have a name or that nothing was built on, which are those that can be removed.

    :param listing: all images, those of single build steps included.
    :return: each image's `Id`, `RepoTags` (without those that stand for none), `Labels` and `Created` in the engine's
        words, and as `Ancestors` the ids of those of them that it was built on: none where the engine does not say it
        (BuildKit's images hang on no other).
    """
    parents = {str(image["Id"]): str(image.get("ParentId") or "") for image in listing}
    names = {image["Id"]: [tag for tag in image.get("RepoTags") or [] if tag != NO_TAG] for image in listing}
    built_on = set(parents.values())
    returned = {identifier for identifier in parents if names[identifier] or identifier not in built_on}

    def ancestors(identifier: str) -> list[str]:
        found: list[str] = []
        parent = parents[identifier]
        while parent in parents:
            found.append(parent)
            parent = parents[parent]
        return [parent for parent in found if parent in returned]

    return [
        {
            **{name: image.get(name) for name in ("Id", "Labels", "Created")},
            "RepoTags": names[image["Id"]],
            "Ancestors": ancestors(image["Id"]),
        }
        for image in listing
        if image["Id"] in returned
    ]


def read_record(data_dir: str, name: str) -> dict[str, Any]:
    """Return what was recorded of a container; nothing where nothing (readable) was."""
    if not name:
        return {}
    try:
        record = json.loads((Path(data_dir) / "records" / name / RECORD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
