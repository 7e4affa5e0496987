"""The network matrix: who reaches whom, asked by connecting from every container and from the machine's neighbours.

The allowed conversations are said here a second time, independently of the roles. Everything else must fail.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from dataclasses import dataclass

import pytest

from tests.support.runs import Runs
from tests.support.sites import Site
from tests.support.stack import Container, Stack

SITE = "wordpress-(?!cron$)[a-z0-9]+"
CONVERSATIONS = (
    # Who, whom (short names of containers, as regular expressions), and on which port.
    ("nginx", SITE, 9000),
    ("wordpress-cron", SITE, 9000),
    (SITE, "mariadb", 3306),
    (SITE, "redis", 6379),
    ("nginx", "adminer", 9000),
    ("adminer", "mariadb", 3306),
    ("nginx", "cadvisor", 8080),
)
PUBLISHED = {"nginx": {8443, 8444}, "ftp": {2121, *range(30100, 30114)}}
"""Container ports that are open to everybody, so to other containers on the same network as well."""

# Connects to addresses from inside the network namespaces of processes, all at once, and prints who reached what.
PROBE = """
import asyncio, json, os, sys

async def reached(address, port, patience):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), patience)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True

async def all_of(targets, patience):
    answers = await asyncio.gather(*(reached(address, port, patience) for address, port in targets))
    return [target for target, answer in zip(targets, answers) if answer]

wanted = json.loads(sys.argv[1])
parts = []
for name, pid in wanted["sources"].items():
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        if pid:
            os.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), os.CLONE_NEWNET)
        os.write(writer, json.dumps(asyncio.run(all_of(wanted["targets"], wanted["patience"]))).encode())
        os._exit(0)
    os.close(writer)
    parts.append((name, reader, child))
found = {}
for name, reader, child in parts:
    with os.fdopen(reader) as stream:
        found[name] = json.loads(stream.read())
    os.waitpid(child, 0)
print(json.dumps(found))
"""
PATIENCE = 3
"""Seconds after which a connection counts as impossible: packets that are dropped never answer."""

Reached = set[tuple[str, str, int]]


@dataclass(frozen=True)
class Place:
    """Where a container can be tried."""

    container: Container
    addresses: tuple[str, ...]
    """On all its networks."""
    ports: frozenset[int]
    """TCP ports on which something listens, other than on the loopback interface."""


def listening_ports(container: Container) -> frozenset[int]:
    """Read the kernel's list of a container's listening sockets."""
    lines = container.host.check_output("cat /proc/%s/net/tcp /proc/%s/net/tcp6", *[str(container.main_pid)] * 2)
    rows = [line.split() for line in lines.splitlines()]
    sockets = [row[1].split(":") for row in rows if row[3] == "0A"]
    # An IPv4 address is one word in the machine's byte order: its first byte comes last.
    return frozenset(int(port, 16) for address, port in sockets if not (len(address) == 8 and address.endswith("7F")))


def docker(*arguments: str) -> str:
    """Run the engine's command line tool on the machine that the instance runs on."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def places(stack: Stack) -> dict[str, Place]:
    """Return every container of the stack, by its short name."""
    return {
        container.short_name: Place(
            container,
            tuple(n["IPAddress"] for n in container.inspect["NetworkSettings"]["Networks"].values()),
            listening_ports(container),
        )
        for container in stack.containers()
    }


def targets(places: dict[str, Place]) -> dict[tuple[str, int], str]:
    """List every address and port at which a container listens, with the container's name."""
    return {
        (address, port): name for name, place in places.items() for address in place.addresses for port in place.ports
    }


def expected(places: dict[str, Place]) -> Reached:
    """Work out the allowed conversations for the containers that run."""
    return {
        (who, whom, port)
        for pattern, other, port in CONVERSATIONS
        for who in places
        for whom in places
        if who != whom and re.fullmatch(pattern, who) and re.fullmatch(other, whom)
    }


def test_only_declared_conversations_are_possible(stack: Stack, places: dict[str, Place]) -> None:
    """From the network namespace of each container to each port of each other one, at all of its addresses."""
    known = targets(places)
    wanted = {
        "sources": {name: place.container.main_pid for name, place in places.items()},
        "targets": list(known),
        "patience": PATIENCE,
    }
    found = json.loads(stack.host.check_output("python3 -c %s %s", PROBE, json.dumps(wanted)))
    reached = {
        (who, known[address, port], port)
        for who, ends in found.items()
        for address, port in ends
        if known[address, port] != who
    }
    allowed = expected(places)
    assert {
        pattern for pattern, _, _ in CONVERSATIONS if not any(re.fullmatch(pattern, who) for who, _, _ in allowed)
    } == set()
    private = {(who, whom, port) for who, whom, port in reached if port not in PUBLISHED.get(whom, set())}
    assert private - allowed == set(), "reached, but not allowed"
    assert allowed - reached == set(), "allowed, but not reached"


def test_every_listening_port_is_known(places: dict[str, Place]) -> None:
    """No service listens on more than the port of its conversations: there is nothing to reach by a new network."""
    for name, place in places.items():
        conversed = {port for _, other, port in CONVERSATIONS if re.fullmatch(other, name)}
        assert place.ports <= conversed | PUBLISHED.get(name, set()), name


def test_neighbours_reach_published_ports_only(
    stack: Stack, places: dict[str, Place], pytestconfig: pytest.Config
) -> None:
    """A machine on the same network, with a route to every network of the stack, as no honest neighbour would have."""
    name = str(pytestconfig.getoption("hosts")).removeprefix("docker://")
    network = f"{name}-neighbours"
    listening = stack.host.check_output("ss --listening --tcp --numeric --no-header")
    machine = {int(line.split()[3].rpartition(":")[2]) for line in listening.splitlines()}
    inner = {port for place in places.values() for port in place.ports}
    known = targets(places)
    subnets = sorted({str(ipaddress.ip_network(f"{address}/24", strict=False)) for address, _ in known})
    docker("network", "create", network)
    try:
        docker("network", "connect", network, name)
        instance = json.loads(docker("inspect", name))[0]
        gateway = instance["NetworkSettings"]["Networks"][network]["IPAddress"]
        wanted = {
            "sources": {"neighbour": 0},
            "targets": [*known, *((gateway, port) for port in machine | inner)],
            "patience": PATIENCE,
        }
        # Its own networks may have the same addresses as those of the stack.
        routes = "; ".join(f"ip route replace {subnet} via {gateway}" for subnet in subnets)
        printed = docker(
            "run", "--rm", "--network", network, "--cap-add=NET_ADMIN", "--entrypoint=sh", instance["Image"],
            "-euc", f'{routes}; exec python3 -c "$1" "$2"', "sh", PROBE, json.dumps(wanted),
        )  # fmt: skip
    finally:
        docker("network", "disconnect", "--force", network, name)
        docker("network", "rm", network)
    reached = {(address, port) for address, port in json.loads(printed)["neighbour"]}
    at_machine = {port for address, port in reached if address == gateway}
    assert at_machine >= {8444, 2122}, "control: the way to the stack"
    assert at_machine <= {8444, 2122, *range(30100, 30114)}
    strange = {
        (known[address, port], port)
        for address, port in reached
        if address != gateway and port not in PUBLISHED.get(known[address, port], set())
    }
    assert strange == set()


@pytest.mark.destructive
def test_site_put_back_on_its_network_is_served_again(runs: Runs, stack: Stack, sites: list[Site]) -> None:
    """Also under another address, because somebody else has its old one by now."""
    site = next(site for site in sites if site.name == "market")
    network, container = "quayside-web-market", stack.container("wordpress-market")
    before, address = container.identifier, container.inspect["NetworkSettings"]["Networks"][network]["IPAddress"]
    image = container.inspect["Config"]["Image"]
    stack.host.check_output("docker network disconnect %s %s", network, container.name)
    squat = "docker run --detach --rm --label pressdock.stack=none --network %s %s php -r 'sleep(600);'"
    held: dict[str, str] = {}
    try:
        while address not in held.values() and len(held) < 10:
            squatter = stack.host.check_output(squat, network, image).strip()
            networks = json.loads(stack.host.check_output("docker inspect %s", squatter))[0]["NetworkSettings"][
                "Networks"
            ]
            held[squatter] = networks[network]["IPAddress"]
        assert address in held.values(), "control: the old address is taken"
        assert len(runs.converge().changes) == 1
    finally:
        stack.host.check_output("docker rm --force " + " ".join(held))
    container.forget()
    assert container.identifier == before
    fetch = "curl --silent --cacert %s/ca/ca.crt --write-out %s --output /dev/null --resolve %s:8444:127.0.0.1 %s/"
    assert stack.host.check_output(fetch, stack.data_directory, "%{http_code}", site.domain, site.url) == "200"
