#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Report what the preflight's rules need to know about a target, in one run that changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: preflight
short_description: Report distribution, resources, listening ports and engine containers of a target
description:
  - Reads what the preflight compares the declared stack with. Writes nothing.
  - Asks the engine over its socket, where there is one, so that neither its client nor a Python library is needed.
  - One module in place of several, because every module run costs more than half a second.
options:
  data_dir:
    description: Directory that will hold the stack's data. It need not exist.
    type: path
    required: true
  stack:
    description: Name of the stack, as its label carries it.
    type: str
    required: true
  lock:
    description: File of the target that says who runs. Nothing is looked at while it names another run.
    type: path
    required: true
  run:
    description: Who runs, as the action describes it.
    type: dict
    required: true
  over:
    description: A run that is known to have ended.
    type: dict
  libraries:
    description: Names of modules that roles import on the target.
    type: list
    elements: str
    default: []
  engine_dir:
    description: The engine's directory when the engine does not answer and cannot say it.
    type: path
    default: /var/lib/docker
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: The pressdock authors
"""

EXAMPLES = r"""
- name: Look at the target
  preflight:
    data_dir: /srv/pressdock
    stack: pressdock
    lock: /run/pressdock.lock
    run: {user: somebody, machine: here, pid: 4711}
  become: true
"""

RETURN = r"""
holder:
  description: Another run that works on the target; then nothing else is returned.
  returned: when there is one
  type: dict
host:
  description: What was found. Sizes are bytes.
  returned: when no other run works on the target
  type: dict
engine:
  description: What the engine has, as the module C(engine_look) returns it.
  returned: always
  type: dict
missing_libraries:
  description: Those of O(libraries) that the target's Python does not find.
  returned: when no other run works on the target
  type: list
  elements: str
certificates:
  description: The certificates that the target trusts besides the public ones, in PEM form.
  returned: always
  type: str
ansible_facts:
  description: Distribution, platform, service manager, memory and way outside, as the setup module names them.
  returned: always
  type: dict
"""

import contextlib
import glob
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.engine_api import SOCKET, STACK_LABEL, look
from ansible.module_utils.facts import ansible_collector
from ansible.module_utils.facts.namespace import PrefixFactNamespace
from ansible.module_utils.facts.system.distribution import DistributionFactCollector
from ansible.module_utils.facts.system.platform import PlatformFactCollector
from ansible.module_utils.facts.system.service_mgr import ServiceMgrFactCollector
from ansible.module_utils.libraries import interpreter, missing
from ansible.module_utils.run_lock import acquire

CERTIFICATES = "/usr/local/share/ca-certificates"
ROUTES = "/proc/net/route"
INTERFACES = "/sys/class/net"
ADDRESSES_6 = "/proc/net/if_inet6"
ROUTES_6 = "/proc/net/ipv6_route"
SETTINGS_6 = "/proc/sys/net/ipv6/conf"
PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin"
ENGINE_FILE = "/etc/docker/daemon.json"
ENGINE_PROCESS = "/run/docker.pid"
PROCESSES = "/proc"

OWN_LINKS = re.compile(r"lo|docker0|br-[0-9a-f]{12}|veth.*")
"""The loopback interface, and what engines make; nobody outside reaches the machine there."""
GLOBAL_SCOPE = "00"
FAILED = 0x08
"""Flag of an address that somebody else has as well (linux/if_addr.h: IFA_F_DADFAILED)."""
DEFAULT_ROUTE = "0" * 32
ANNOUNCED = 0x00040000
"""Flag of a route that the kernel has from a router's announcement (linux/ipv6_route.h: RTF_ADDRCONF)."""
ACCEPTS_UNLESS_FORWARDING = "1"
TRANSLATION = ("ip6tables", "iptables", "experimental")
"""The engine's options that decide whether it translates IPv6."""
PATIENCE = 10
"""Seconds that the kernel may take to say which rules it has."""

INSTALLED = ".pressdock.json"
"""Beside a site's files, once it is installed: which database they belong to."""

LISTEN = "0A"
CLOSE = "07"
"""States in /proc/net: a listening TCP socket; a UDP socket without a peer has the number of a closed one."""


def engine_containers(engine: dict[str, Any]) -> list[dict[str, Any]]:
    """List the engine's containers: name, stack label, and the ports that they publish while they run."""
    return [
        {
            "name": container["Names"][0].lstrip("/") if container.get("Names") else container["Id"][:12],
            "stack": (container.get("Labels") or {}).get(STACK_LABEL, ""),
            "ports": [
                {"address": port.get("IP", ""), "port": port["PublicPort"], "protocol": port["Type"]}
                for port in container.get("Ports") or []
                if port.get("PublicPort")
            ],
        }
        for container in engine.get("containers") or []
    ]


def stack_directories(engine: dict[str, Any], stack: str) -> dict[str, str]:
    """Map the directories that other stacks of this engine keep their volumes in to these stacks' names."""
    found: dict[str, str] = {}
    for volume in engine.get("volumes") or []:
        owner = (volume.get("Labels") or {}).get(STACK_LABEL, "")
        place = str((volume.get("Options") or {}).get("device") or "")
        if owner and owner != stack and "/volumes/" in place:
            found[place.partition("/volumes/")[0]] = owner
    return found


def socket_address(text: str) -> tuple[str, int]:
    """Read an address of /proc/net: 32 bit words in the machine's byte order, then the port."""
    address, port = text.split(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    raw = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, raw), int(port, 16)


def socket_owners() -> dict[str, str]:
    """Map the inode of every open socket to the name of a process that holds it (root sees all of them)."""
    owners: dict[str, str] = {}
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(path))
            if found and found[1] not in owners:
                with open(f"/proc/{path.split('/')[2]}/comm", encoding="utf-8", errors="replace") as name:
                    owners[found[1]] = name.read().strip()
    return owners


def listeners() -> list[dict[str, Any]]:
    """List the sockets that accept connections or datagrams, with the process that holds each."""
    owners = socket_owners()
    found = []
    for protocol, state in (("tcp", LISTEN), ("udp", CLOSE)):
        for table in (protocol, f"{protocol}6"):
            try:
                with open(f"/proc/net/{table}", encoding="ascii") as lines:
                    rows = [line.split() for line in lines][1:]
            except OSError:
                continue
            for row in rows:
                if row[3] == state:
                    address, port = socket_address(row[1])
                    process = owners.get(row[9], "")
                    found.append({"address": address, "port": port, "protocol": protocol, "process": process})
    return found


def disk(path: str) -> dict[str, Any]:
    """Return number and free bytes of the disk that holds, or will hold, a path, and whether it can be written."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    status = os.statvfs(path)
    return {
        "device": os.stat(path).st_dev,
        "free": status.f_bavail * status.f_frsize,
        "read_only": bool(status.f_flag & os.ST_RDONLY),
    }


def certificates() -> str:
    """Return the certificates that the target's administrator has added to those that it trusts."""
    files = sorted(pathlib.Path(CERTIFICATES).rglob("*.crt"))
    return "\n".join(file.read_text(encoding="ascii", errors="replace").strip() for file in files if file.is_file())


def table_of_routes() -> list[list[str]]:
    """Return the words of the lines of the main table of IPv4 routes."""
    try:
        with open(ROUTES, encoding="ascii") as lines:
            return [line.split() for line in lines][1:]
    except OSError:
        return []


def routes() -> list[dict[str, Any]]:
    """List the networks that the target reaches by its main table of routes, but for the default one.

    Also whether each is on a link, thus needs no gateway.
    """
    found = []
    for row in table_of_routes():
        # Words of 32 bit in the machine's byte order.
        address, gateway, mask = (int(row[column], 16) for column in (1, 2, 7))
        if mask:
            network = f"{socket.inet_ntoa(struct.pack('=I', address))}/{format(mask, 'b').count('1')}"
            found.append({"network": network, "link": gateway == 0})
    return found


def default_interface() -> dict[str, Any]:
    """Return name and MTU of the interface with the default route, as setup's C(default_ipv4) has them; {} without."""
    best = min((route for route in table_of_routes() if route[7] == "00000000"), key=lambda r: int(r[6]), default=None)
    if best is None:
        return {}
    try:
        with open(f"{INTERFACES}/{best[0]}/mtu", encoding="ascii") as file:
            return {"interface": best[0], "mtu": int(file.read())}
    except (OSError, ValueError):
        return {}


def ipv6_addresses() -> list[str]:
    """List the addresses under which others reach the target: global and unique local ones, with their networks."""
    found = []
    for address, _, length, scope, flags, interface in words_of_lines(ADDRESSES_6):
        if scope == GLOBAL_SCOPE and not int(flags, 16) & FAILED and not OWN_LINKS.fullmatch(interface):
            found.append(f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))}/{int(length, 16)}")
    return sorted(found)


def announced_interfaces() -> list[str]:
    """List the interfaces whose default route the kernel has from a router, and loses when it forwards packets.

    Where a program looks after them (systemd-networkd, NetworkManager), the kernel leaves them alone.
    """
    found = set()
    for row in words_of_lines(ROUTES_6):
        if row[0] == DEFAULT_ROUTE and row[1] == "00" and int(row[8], 16) & ANNOUNCED:
            with contextlib.suppress(OSError):
                accepts = pathlib.Path(SETTINGS_6, row[9], "accept_ra").read_text(encoding="ascii").strip()
                found |= {row[9]} if accepts == ACCEPTS_UNLESS_FORWARDING else set()
    return sorted(found)


def words_of_lines(path: str) -> list[list[str]]:
    """Return the words of the lines of a table of the kernel's; none where it has no IPv6."""
    try:
        with open(path, encoding="ascii") as lines:
            return [line.split() for line in lines]
    except OSError:
        return []


def ipv6_translation() -> bool | None:
    """Ask the kernel whether it can translate IPv6; nothing where no program is installed that asks."""
    program = shutil.which("ip6tables", path=PROGRAMS)
    if not program:
        return None
    command = [program, "--table", "nat", "--list-rules", "PREROUTING"]
    try:
        return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def engine_options() -> dict[str, bool]:
    """Return what the engine was told of translating IPv6: by its file, and by the command that it was started with."""
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        with open(ENGINE_FILE, encoding="utf-8") as file:
            options = json.load(file)
        if isinstance(options, dict):
            found = {name: options[name] for name in TRANSLATION if isinstance(options.get(name), bool)}
    with contextlib.suppress(OSError, ValueError):
        number = int(pathlib.Path(ENGINE_PROCESS).read_text(encoding="ascii"))
        command = pathlib.Path(PROCESSES, str(number), "cmdline").read_text(encoding="utf-8", errors="replace")
        for word in command.split("\0"):
            name, _, value = word.lstrip("-").partition("=")
            if word.startswith("--") and name in TRANSLATION:
                found[name] = value.lower() not in {"false", "f", "0"}
    return found


def ipv6() -> dict[str, Any]:
    """Report what the target has of IPv6; where it has no address, nothing else is asked."""
    addresses = ipv6_addresses()
    if not addresses:
        return {"addresses": []}
    return {
        "addresses": addresses,
        "announced": announced_interfaces(),
        "translation": ipv6_translation(),
        "engine": engine_options(),
    }


def memory() -> int:
    """Return the target's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def site_content(data_dir: str) -> dict[str, dict[str, Any]]:
    """Say of each site that has a volume whether it is installed (it has the reconciler's mark), and its languages."""
    return {
        place.parent.name: {
            "installed": (place / INSTALLED).is_file(),
            "languages": sorted(path.name for path in (place / "languages").glob("*.mo")),
        }
        for place in sorted(pathlib.Path(data_dir, "volumes", "sites").glob("*/wp-content"))
    }


def main() -> None:
    """Answer the one question."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "engine_dir": {"type": "path", "default": "/var/lib/docker"},
            "stack": {"type": "str", "required": True},
            "lock": {"type": "path", "required": True},
            "run": {"type": "dict", "required": True},
            "over": {"type": "dict"},
            "libraries": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        holder = acquire(parameters["lock"], parameters["run"], parameters["over"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{parameters['lock']}: {error.strerror}")
    if holder:
        module.exit_json(changed=False, holder=holder)
    facts = ansible_collector.get_ansible_collector(
        all_collector_classes=[PlatformFactCollector, DistributionFactCollector, ServiceMgrFactCollector],
        namespace=PrefixFactNamespace(namespace_name="ansible", prefix="ansible_"),
    ).collect(module=module)
    # Without what the collector says about itself; and what else variables follow from, by the names that setup has.
    facts = {name: value for name, value in facts.items() if name.startswith("ansible_")}
    facts |= {"ansible_memtotal_mb": memory() // 1024**2, "ansible_default_ipv4": default_interface()}
    data_dir = os.path.realpath(module.params["data_dir"])
    try:
        engine = look(SOCKET, module.params["stack"], data_dir)
        trusted = certificates()
    except OSError as error:
        module.fail_json(msg=str(error))
    engine_dir = (engine["info"] or {}).get("DockerRootDir") or module.params["engine_dir"]
    missing_libraries = missing(parameters["libraries"])
    host = {
        "distribution": facts.get("ansible_distribution", ""),
        "distribution_version": facts.get("ansible_distribution_version", ""),
        "architecture": facts.get("ansible_architecture", ""),
        "python_version": list(sys.version_info[:3]),
        "python": interpreter(),
        "missing_libraries": missing_libraries,
        # Where apt and the engine find what belongs to root: a program that is on every machine tells.
        "root_path": shutil.which("ldconfig") is not None,
        "memory": memory(),
        "disks": {path: disk(path) for path in (data_dir, engine_dir)},
        "real_data_dir": data_dir,
        "listeners": listeners(),
        "routes": routes(),
        "ipv6": ipv6(),
        "networks": {network["Name"]: network["Subnets"] for network in engine.get("networks") or []},
        "engine": engine["info"] is not None,
        "engine_version": str((engine["info"] or {}).get("ServerVersion") or ""),
        "containers": engine_containers(engine),
        "stacks": stack_directories(engine, parameters["stack"]),
        "content": site_content(data_dir),
    }
    module.exit_json(
        changed=False,
        host=host,
        engine=engine,
        missing_libraries=missing_libraries,
        certificates=trusted,
        ansible_facts=facts,
    )


if __name__ == "__main__":
    main()
