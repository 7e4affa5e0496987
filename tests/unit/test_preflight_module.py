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

from module_utils import engine_api, libraries, run_lock
from tests.support.engine import Engine
from tests.support.load import load

# On a target module_utils have these names.
sys.modules["ansible.module_utils.engine_api"] = engine_api
sys.modules["ansible.module_utils.libraries"] = libraries
sys.modules["ansible.module_utils.run_lock"] = run_lock
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
