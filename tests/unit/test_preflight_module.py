"""What the preflight finds on a target."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from module_utils import engine_api, run_lock
from tests.support.engine import Engine
from tests.support.load import load

module = load("roles/preflight/library/preflight.py", "preflight_module")
lock_module = load("roles/preflight/library/run_lock.py", "run_lock_module")

MINE = run_lock.this_run(os.getpid())
Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> Look:
    """Return a function that looks at this machine with an engine that has nothing, or another one."""
    engine.answers = {
        "/info": {"DockerRootDir": str(tmp_path)},
        "/containers/json?all=1": [],
        "/images/json?all=1": [],
        "/networks": [],
        "/volumes": {"Volumes": None},
    }
    monkeypatch.setattr(module, "SOCKET", engine.path)
    monkeypatch.setattr(module, "CERTIFICATES", str(tmp_path / "certificates"))
    declared = {"data_dir": str(tmp_path / "data"), "stack": "shop", "lock": str(tmp_path / "lock"), "run": MINE}

    def run(check: bool = False, **parameters: Any) -> dict[str, Any]:
        return run_module(module, check, **declared, **parameters)

    return run


def test_the_machine_is_described(look: Look, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "real")
    found = look()
    host = found["host"]
    assert found["changed"] is False
    assert host["python_version"] == list(sys.version_info[:3])
    assert host["architecture"] == os.uname().machine
    assert host["memory"] // 1024 == int(Path("/proc/meminfo").read_text().split()[1])
    assert host["real_data_dir"] == str(tmp_path / "real")
    assert set(host["disks"]) == {str(tmp_path / "real"), str(tmp_path)}
    assert (host["engine"], host["containers"]) == (True, [])
    assert found["engine"]["info"]["DockerRootDir"] == str(tmp_path)
    facts = found["ansible_facts"]
    assert (host["distribution"], host["distribution_version"]) == (
        facts["ansible_distribution"],
        facts["ansible_distribution_version"],
    )
    assert host["distribution"]
    assert "ansible_service_mgr" in facts
    assert facts["ansible_memtotal_mb"] == host["memory"] // 1024**2
    assert all(name.startswith("ansible_") for name in facts)


@pytest.mark.parametrize("info", [None, {}])
def test_the_engine_s_directory_is_the_declared_one_where_nobody_says_it(
    look: Look, engine: Engine, tmp_path: Path, info: Any
) -> None:
    if info is None:
        del engine.answers["/info"]
    else:
        engine.answers["/info"] = info
    (tmp_path / "engine").mkdir()
    assert str(tmp_path / "engine") in look(engine_dir=str(tmp_path / "engine"))["host"]["disks"]
    found = look()
    assert "/var/lib/docker" in found["host"]["disks"]
    assert found["host"]["engine"] is (info is not None)


def test_an_engine_that_stops_answering_fails_it(look: Look, engine: Engine) -> None:
    del engine.answers["/volumes"]
    found = look()
    assert found["failed"]
    assert found["msg"].endswith("did not answer /volumes")


def test_another_run_is_named_and_nothing_is_looked_at(look: Look, engine: Engine, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            holder = run_lock.this_run(other.pid)
            (tmp_path / "lock").write_text(json.dumps(holder))
            found = look()
            assert (found["holder"], found["changed"], "host" in found) == (holder, False, False)
            assert engine.asked == []
            assert "host" in look(over=holder)
        finally:
            other.kill()


def test_a_check_run_leaves_no_lock(look: Look, tmp_path: Path) -> None:
    assert "host" in look(check=True)
    assert not (tmp_path / "lock").exists()
    look()
    assert (tmp_path / "lock").exists()


def test_a_lock_that_cannot_be_kept_fails_both_modules(
    look: Look, tmp_path: Path, run_module: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "lock").mkdir()
    for found in (look(), run_module(lock_module, path=str(tmp_path / "lock"), run=MINE)):
        assert (found["failed"], found["msg"]) == (True, f"{tmp_path}/lock: Is a directory")


def test_the_lock_alone(tmp_path: Path, run_module: Callable[..., dict[str, Any]]) -> None:
    """As the plays take it that are no converge."""
    path = tmp_path / "lock"
    assert run_module(lock_module, check=True, path=str(path), run=MINE)["holder"] is None
    assert not path.exists()
    found = run_module(lock_module, path=str(path), run=MINE)
    assert (found["changed"], found["holder"]) == (False, None)
    assert run_lock.same(json.loads(path.read_text()), MINE)
    foreign = {**MINE, "machine": "laptop", "place": "another boot"}
    path.write_text(json.dumps(foreign))
    assert run_module(lock_module, path=str(path), run=MINE)["holder"] == foreign
    assert run_module(lock_module, path=str(path), run=MINE, over=foreign)["holder"] is None


def test_networks_and_routes(look: Look, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A default route leads everywhere, and so takes no addresses from anybody."""
    engine.answers["/info"]["ServerVersion"] = "26.1.5"
    engine.answers["/networks"] = [
        {"Name": "front", "IPAM": {"Config": [{"Subnet": "172.18.5.0/24"}]}},
        {"Name": "host", "IPAM": {"Config": None}},
    ]
    table = tmp_path / "route"
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    rows = [
        ("eth0", *["0.0.0.0"] * 3),  # noqa: S104 - of a table
        ("eth0", "192.0.2.0", "0.0.0.0", "255.255.255.0"),  # noqa: S104
        ("tun0", "172.16.0.0", "192.0.2.1", "255.240.0.0"),
    ]
    lines = []
    for name, *addresses in rows:
        to, by, mask = (f"{int.from_bytes(socket.inet_aton(text), sys.byteorder):08X}" for text in addresses)
        lines.append(f"{name}\t{to}\t{by}\t1\t0\t0\t0\t{mask}\t0\t0\t0\n")
    table.write_text(head + "".join(lines))
    monkeypatch.setattr(module, "ROUTES", str(table))
    host = look()["host"]
    assert host["engine_version"] == "26.1.5"
    assert host["networks"] == {"front": ["172.18.5.0/24"], "host": []}
    assert host["routes"] == [
        {"network": "192.0.2.0/24", "link": True},
        {"network": "172.16.0.0/12", "link": False},
    ]
    table.unlink()
    found = look()
    assert found["host"]["routes"] == []
    assert found["ansible_facts"]["ansible_default_ipv4"] == {}


@pytest.mark.parametrize(
    ("metrics", "interface"),
    [
        ({"eth0": 100, "wg0": 50}, {"interface": "wg0", "mtu": 1420}),
        ({"eth0": 0, "gone": 5}, {}),
        ({"eth0": 5, "gone": 0}, {}),
    ],
)
def test_the_way_outside(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metrics: dict[str, int], interface: dict[str, Any]
) -> None:
    """The interface of the default route, with the lowest metric if there are several; without its MTU it is none."""
    lines = [f"{name} 00000000 010200C0 3 0 0 {metric} 00000000 0 0 0\n" for name, metric in metrics.items()]
    (tmp_path / "route").write_text("head\n" + "".join(lines))
    for name, mtu in {"wg0": "1420\n", "eth0": "odd\n"}.items():
        (tmp_path / "net" / name).mkdir(parents=True)
        (tmp_path / "net" / name / "mtu").write_text(mtu)
    monkeypatch.setattr(module, "ROUTES", str(tmp_path / "route"))
    monkeypatch.setattr(module, "INTERFACES", str(tmp_path / "net"))
    assert look()["ansible_facts"]["ansible_default_ipv4"] == interface


ADDRESSES_6 = """\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000005 02 40 00 80     eth0
20010db8000000000000000000000006 02 40 00 88     eth0
fd120000000000000000000000000007 03 30 00 00      wg0
fe80000000000000021122fffe334455 02 40 20 80     eth0
fd540000000000000000000000000001 05 40 00 80 br-0123456789ab
fd540000000000000000000000000001 06 40 00 80  docker0
fd540000000000000000000000000002 07 40 00 80 veth0a1b2c
"""
LINK_LOCAL = "fe80000000000000021122fffe334455 02 40 20 80     eth0\n"


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory in place of what the kernel and the engine say of IPv6; a program that asks says yes."""
    for name in ("ADDRESSES_6", "ROUTES_6", "SETTINGS_6", "ENGINE_FILE", "ENGINE_PROCESS", "PROCESSES"):
        monkeypatch.setattr(module, name, str(tmp_path / name))
    monkeypatch.setattr(module, "PROGRAMS", str(tmp_path / "programs"))
    (tmp_path / "programs").mkdir()
    asks(tmp_path, "exit 0")
    (tmp_path / "ADDRESSES_6").write_text(ADDRESSES_6)
    return tmp_path


def asks(folder: Path, text: str) -> None:
    """Write the program that asks the kernel for its rules."""
    program = folder / "programs/ip6tables"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_addresses_that_others_reach(look: Look, kernel: Path) -> None:
    """Neither those of one link, nor those of the engine's networks, nor one that somebody else has."""
    found = {"addresses": ["2001:db8::5/64", "fd12::7/48"], "announced": [], "translation": True, "engine": {}}
    assert look()["host"]["ipv6"] == found
    asks(kernel, f"touch {kernel}/asked")
    for text in (LINK_LOCAL, "", None):
        if text is None:
            (kernel / "ADDRESSES_6").unlink()
        else:
            (kernel / "ADDRESSES_6").write_text(text)
        assert look()["host"]["ipv6"] == {"addresses": []}
    assert not (kernel / "asked").exists(), "nothing else is asked"


def test_whether_the_kernel_translates(look: Look, kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows it on a machine without the program, which comes with the engine."""

    def translation() -> Any:
        return look()["host"]["ipv6"]["translation"]

    asks(kernel, f'echo "$@" > {kernel}/asked')
    assert translation() is True
    assert (kernel / "asked").read_text().split() == ["--table", "nat", "--list-rules", "PREROUTING"]
    asks(kernel, "exit 3")
    assert translation() is False
    asks(kernel, "exec sleep 60")
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    assert translation() is False
    (kernel / "programs/ip6tables").unlink()
    assert translation() is None


@pytest.mark.parametrize(
    ("accepts", "flags", "to", "announced"),
    [
        ("1", "00450003", "0" * 32 + " 00", ["eth0"]),
        # It goes on to listen; a program does; the route is the operator's; it is no default route.
        ("2", "00450003", "0" * 32 + " 00", []),
        ("0", "00450003", "0" * 32 + " 00", []),
        ("1", "00000003", "0" * 32 + " 00", []),
        ("1", "00450003", "20010db8" + "0" * 24 + " 40", []),
        (None, "00450003", "0" * 32 + " 00", []),
    ],
)
def test_routes_that_forwarding_would_take_away(
    look: Look, kernel: Path, accepts: str | None, flags: str, to: str, announced: list[str]
) -> None:
    gateway = "fe80" + "0" * 27 + "1"
    line = f"{to} {'0' * 32} 00 {gateway} 00000400 00000001 00000000 {flags} eth0\n"
    (kernel / "ROUTES_6").write_text(line)
    if accepts is not None:
        (kernel / "SETTINGS_6/eth0").mkdir(parents=True)
        (kernel / "SETTINGS_6/eth0/accept_ra").write_text(f"{accepts}\n")
    assert look()["host"]["ipv6"]["announced"] == announced


@pytest.mark.parametrize(
    ("file", "command", "options"),
    [
        (None, None, {}),
        ("{", None, {}),
        ("[]", None, {}),
        ('{"ip6tables": true, "experimental": true, "ipv6": true, "iptables": "yes"}', "dockerd",
         {"ip6tables": True, "experimental": True}),
        ('{"experimental": true}', "dockerd --ip6tables -H fd:// --iptables=false",
         {"experimental": True, "ip6tables": True, "iptables": False}),
        ('{"ip6tables": true}', "dockerd --ip6tables=False", {"ip6tables": False}),
    ],
)  # fmt: skip
def test_what_an_engine_was_told(
    look: Look, kernel: Path, file: str | None, command: str | None, options: dict[str, bool]
) -> None:
    if file is not None:
        (kernel / "ENGINE_FILE").write_text(file)
    if command is not None:
        (kernel / "ENGINE_PROCESS").write_text("4711")
        (kernel / "PROCESSES/4711").mkdir(parents=True)
        (kernel / "PROCESSES/4711/cmdline").write_text(command.replace(" ", "\0") + "\0")
    assert look()["host"]["ipv6"]["engine"] == options


def test_containers_with_what_they_publish() -> None:
    """One that has no name yet is called by its number; ports that are not published are nobody's business."""
    ports = [
        {"IP": "192.0.2.1", "PublicPort": 443, "PrivatePort": 8443, "Type": "tcp"},
        {"PublicPort": 444, "Type": "udp"},
        {"PrivatePort": 80, "Type": "tcp"},
    ]
    containers = [
        {"Id": "0123456789abcdef", "Names": ["/web"], "Labels": {"pressdock.stack": "shop"}, "Ports": ports},
        {"Id": "0123456789abcdef", "Names": [], "Labels": None, "Ports": None},
    ]
    assert module.engine_containers({"containers": containers}) == [
        {
            "name": "web",
            "stack": "shop",
            "ports": [
                {"address": "192.0.2.1", "port": 443, "protocol": "tcp"},
                {"address": "", "port": 444, "protocol": "udp"},
            ],
        },
        {"name": "0123456789ab", "stack": "", "ports": []},
    ]
    assert module.engine_containers({"info": None}) == []


@pytest.mark.parametrize(
    ("kind", "family", "address", "protocol"),
    [
        (socket.SOCK_STREAM, socket.AF_INET, "127.0.0.1", "tcp"),
        (socket.SOCK_STREAM, socket.AF_INET6, "::1", "tcp"),
        (socket.SOCK_DGRAM, socket.AF_INET, "127.0.0.1", "udp"),
        (socket.SOCK_DGRAM, socket.AF_INET6, "::1", "udp"),
    ],
)
def test_sockets_that_accept_are_found_with_their_process(
    kind: socket.SocketKind, family: socket.AddressFamily, address: str, protocol: str
) -> None:
    def mine(port: int) -> list[dict[str, Any]]:
        return [one for one in module.listeners() if one["port"] == port]

    with socket.socket(family, kind) as server, socket.socket(family, kind) as client:
        try:
            server.bind((address, 0))
        except OSError:
            pytest.skip("this machine has no such address")
        if kind == socket.SOCK_STREAM:
            server.listen()
        port = server.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        found = {"address": address, "port": port, "protocol": protocol, "process": name}
        assert mine(port) == [found]
        client.connect((address, port))
        assert mine(port) == [found], "who is connected accepts nobody"
        assert mine(client.getsockname()[1]) == []
    assert mine(port) == []


def test_a_table_that_the_kernel_does_not_have_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, **_: Any) -> Any:
        raise OSError(path)

    monkeypatch.setattr(module, "socket_owners", dict)
    monkeypatch.setattr(module, "open", refuse, raising=False)
    assert module.listeners() == []


def test_a_disk_is_that_of_the_nearest_directory_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    here = module.disk(str(tmp_path))
    assert here["device"] == tmp_path.stat().st_dev
    for name in ("a/b/c", "file", "file/below"):
        assert module.disk(str(tmp_path / name))["device"] == here["device"]
    assert module.disk("/")["device"] == Path("/").stat().st_dev
    flags = {"f_bavail": 7, "f_frsize": 512, "f_flag": os.ST_RDONLY | os.ST_NOSUID}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**flags))
    assert module.disk(str(tmp_path)) == {"device": here["device"], "free": 3584, "read_only": True}
    flags["f_flag"] = os.ST_NOSUID
    assert module.disk(str(tmp_path))["read_only"] is False


def test_certificates_of_the_administrator_are_read_wherever_they_lie(look: Look, tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    assert look()["certificates"] == ""
    (folder / "deep").mkdir(parents=True)
    (folder / "named.crt").mkdir()
    (folder / "b.crt").write_text("second\n")
    (folder / "deep/c.crt").write_bytes(b"third \xff\n\n")
    (folder / "a.crt").write_text("first")
    (folder / "a.pem").write_text("not one of them")
    assert look()["certificates"] == "first\nsecond\nthird \ufffd"


def test_directories_of_other_stacks() -> None:
    """By their volumes, whose directories lie below `volumes`; another program's volumes are nobody's stack."""
    label = engine_api.STACK_LABEL

    def volume(stack: str | None, device: str | None) -> dict[str, Any]:
        labels = {} if stack is None else {label: stack}
        return {"Name": "x", "Labels": labels, "Options": {"device": device} if device else None}

    volumes = [
        volume("harbour", "/srv/harbour/volumes/database"),
        volume("shop", "/srv/shop/volumes/database"),
        volume(None, "/srv/other/volumes/x"),
        volume("quay", None),
    ]
    assert module.stack_directories({"volumes": volumes}, "shop") == {"/srv/harbour": "harbour"}
    assert module.stack_directories({"info": None}, "shop") == {}


def test_sites_that_are_installed_and_their_languages(look: Look, tmp_path: Path) -> None:
    """A volume without the reconciler's mark is that of a site which was never finished."""
    for site, mark in (("shop", True), ("shed", False)):
        content = tmp_path / "data/volumes/sites" / site / "wp-content"
        (content / "languages").mkdir(parents=True)
        (content / "languages/de_DE.mo").touch()
        (content / "languages/de_DE.po").touch()
        if mark:
            (content / ".pressdock.json").touch()
    assert look()["host"]["content"] == {
        "shed": {"installed": False, "languages": ["de_DE.mo"]},
        "shop": {"installed": True, "languages": ["de_DE.mo"]},
    }
