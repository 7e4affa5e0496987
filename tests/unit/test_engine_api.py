"""What is said to the engine, and what is kept of its answers."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from module_utils import engine_api
from tests.support.engine import Engine
from tests.support.load import load

engine_look = load("roles/container/library/engine_look.py")

INSPECTED = {
    "Id": "1" * 64,
    "Name": "/shop-web",
    "Config": {"Hostname": "web"},
    "HostConfig": {"CapAdd": ["CHOWN"], "PidMode": "host"},
    "State": {"Health": {"Status": "healthy", "Log": [{"Output": "first"}, {"Output": " last\n"}]}},
    "NetworkSettings": {"Networks": {"shop-front": {"Aliases": ["web", "front", "1" * 12, "shop-web"]}}},
}


@pytest.fixture
def stack(engine: Engine) -> Engine:
    """Let the engine have a container of the stack, one that has gone meanwhile, and one of somebody else."""
    engine.answers = {
        "/info": {"DockerRootDir": "/d", "Driver": "overlay2", "Labels": ["a=b"], "ServerVersion": "26", "NCPU": 2},
        "/containers/json?all=1": [
            {"Id": "1" * 64, "Names": ["/shop-web"], "Labels": {"pressdock.stack": "shop"}, "State": "running"},
            {"Id": "2" * 64, "Names": ["/shop-gone"], "Labels": {"pressdock.stack": "shop"}, "State": "exited"},
            {"Id": "3" * 64, "Names": ["/other"], "Labels": None, "State": "running"},
        ],
        f"/containers/{'1' * 64}/json": INSPECTED,
        f"/containers/{'3' * 64}/json": INSPECTED,
        "/images/json?all=1": [{"Id": "i", "RepoTags": ["shop/web:1"], "Labels": {}, "Created": 5, "Size": 6}],
        "/networks": [
            {"Name": "shop-front", "Driver": "bridge", "Internal": True, "Id": "n", "Options": {}}
            | {"IPAM": {"Driver": "default", "Config": [{"Subnet": "172.18.0.0/24", "Gateway": "172.18.0.1"}]}},
            {"Name": "host", "Driver": "host", "Internal": False, "Options": {}, "IPAM": {"Config": None}},
        ],
        "/volumes": {"Volumes": [{"Name": "v", "Driver": "local", "Options": None, "Mountpoint": "/d/v"}]},
    }
    return engine


def test_an_answer_is_read_and_anything_else_is_none(engine: Engine, tmp_path: Path) -> None:
    engine.answers = {"/info": {"a": 1}, "/broken": b"{", "/empty": {}}
    engine.refusals = {("GET", "/accepted"): (202, '{"a": 1}')}
    assert engine_api.ask(engine.path, "/info") == {"a": 1}
    assert engine_api.ask_again(engine.path, "/empty") == {}
    for question in ("/broken", "/missing", "/accepted"):
        assert engine_api.ask(engine.path, question) is None
        with pytest.raises(OSError, match=f"the engine at .* did not answer {question}"):
            engine_api.ask_again(engine.path, question)
    assert engine_api.ask(str(tmp_path / "nobody"), "/info") is None


def test_what_it_is_told_arrives_and_a_refusal_says_why(engine: Engine) -> None:
    engine_api.tell(engine.path, "POST", "/containers/x/stop")
    engine_api.tell(engine.path, "POST", "/containers/create", document={"Image": "i"})
    assert engine.told == [("POST", "/containers/x/stop", None), ("POST", "/containers/create", {"Image": "i"})]
    engine.refusals = {("DELETE", "/containers/x"): (400, " in use\n"), ("DELETE", "/containers/y"): (304, "")}
    with pytest.raises(OSError, match=r"^DELETE /containers/x: 400 in use$"):
        engine_api.tell(engine.path, "DELETE", "/containers/x")
    engine_api.tell(engine.path, "DELETE", "/containers/y")


def test_who_does_not_answer_in_time_or_not_in_http_is_an_error(tmp_path: Path) -> None:
    """The connection waits no longer than it was told to; what comes back is none of HTTP's errors."""
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            engine_api.tell(path, "POST", "/x", timeout=0.05)
        assert time.monotonic() - began < 5

        def babble() -> None:
            server.accept()[0].close()
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"ahoy\r\n\r\n")

        talk = threading.Thread(target=babble)
        talk.start()
        with pytest.raises(OSError, match="POST /y: "):
            engine_api.tell(path, "POST", "/y")
        talk.join()


def test_connections_are_closed_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[engine_api.EngineConnection] = []

    def close(connection: engine_api.EngineConnection) -> None:
        closed.append(connection)

    monkeypatch.setattr(engine_api.EngineConnection, "close", close)
    assert engine_api.ask(str(tmp_path / "nobody"), "/info") is None
    with pytest.raises(FileNotFoundError):
        engine_api.tell(str(tmp_path / "nobody"), "POST", "/x")
    assert len(closed) == 2


def test_the_order_in_which_an_engine_says_something_does_not_matter() -> None:
    mounts = [{"Type": "bind", "Source": "/a"}, {"Type": "volume", "Source": "/b"}]
    turned = [dict(reversed(mount.items())) for mount in reversed(mounts)]
    first, second = ({**INSPECTED, "Mounts": found} for found in (mounts, turned))
    assert engine_api.fingerprint(first) == engine_api.fingerprint(second)
    assert engine_api.fingerprint(first) != engine_api.fingerprint({**INSPECTED, "Mounts": mounts[:1]})


def test_a_look_keeps_what_is_compared(stack: Engine, tmp_path: Path) -> None:
    record = tmp_path / "records/web" / engine_api.RECORD_FILE
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"declared": "x", "id": "1" * 64}), encoding="utf-8")
    found = engine_api.look(stack.path, "shop", str(tmp_path))
    assert found == {
        "info": {"DockerRootDir": "/d", "Driver": "overlay2", "Labels": ["a=b"], "ServerVersion": "26"}
        | {"DefaultAddressPools": None},
        "containers": [
            {"Id": "1" * 64, "Names": ["/shop-web"], "Labels": {"pressdock.stack": "shop"}, "Ports": None}
            | {"State": "running", "Created": None, "Data": []},
            {"Id": "2" * 64, "Names": ["/shop-gone"], "Labels": {"pressdock.stack": "shop"}, "Ports": None}
            | {"State": "exited", "Created": None, "Data": []},
            {"Id": "3" * 64, "Names": ["/other"], "Labels": None, "Ports": None, "State": "running"}
            | {"Created": None, "Data": []},
        ],
        "images": [{"Id": "i", "RepoTags": ["shop/web:1"], "Labels": {}, "Created": 5, "Ancestors": []}],
        "networks": [
            {"Name": "shop-front", "Driver": "bridge", "Internal": True, "Options": {}}
            | {"Attachable": None, "EnableIPv6": None, "Labels": None, "Subnets": ["172.18.0.0/24"]},
            {"Name": "host", "Driver": "host", "Internal": False, "Options": {}}
            | {"Attachable": None, "EnableIPv6": None, "Labels": None, "Subnets": []},
        ],
        "volumes": [{"Name": "v", "Driver": "local", "Options": None, "Labels": None}],
        "found": {
            "shop-web": {
                "fingerprint": engine_api.fingerprint(INSPECTED),
                "undeclared": ["PidMode"],
                "aliases": {"shop-front": ["front"]},
                "own_name": "web",
                "recorded": True,
                "moved": [],
                "healthy": True,
                "report": "last",
            }
        },
        "records": {"shop-web": {"declared": "x"}},
        "directories": {},
    }


@pytest.mark.parametrize(
    ("state", "healthy", "report"),
    [
        ({"Health": {"Status": "unhealthy", "Log": [{"Output": "refused"}]}}, False, "refused"),
        ({"Health": {"Status": "starting", "Log": []}}, False, ""),
        ({}, False, ""),
        (None, False, ""),
    ],
)
def test_a_container_that_is_not_healthy_says_what_it_can(
    stack: Engine, tmp_path: Path, state: Any, healthy: bool, report: str
) -> None:
    stack.answers[f"/containers/{'1' * 64}/json"] = {**INSPECTED, "State": state}
    found = engine_api.look(stack.path, "shop", str(tmp_path))
    assert (found["found"]["shop-web"]["healthy"], found["found"]["shop-web"]["report"]) == (healthy, report)
    assert found["records"] == {"shop-web": {}}, "there is no record of it yet"


@pytest.mark.parametrize("text", ["", "[]", '"x"', "{"])
def test_what_is_no_record_counts_as_none(tmp_path: Path, text: str) -> None:
    record = tmp_path / "records/web" / engine_api.RECORD_FILE
    record.parent.mkdir(parents=True)
    record.write_text(text, encoding="utf-8")
    assert engine_api.read_record(str(tmp_path), "web") == {}


def test_the_module_says_so_where_there_is_no_engine_or_only_half_of_one(
    stack: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> None:
    wanted = {"stack": "shop", "data_dir": str(tmp_path)}
    monkeypatch.setattr(engine_look, "SOCKET", str(tmp_path / "nobody"))
    answer = run_module(engine_look, **wanted)
    assert (answer["changed"], answer["engine"]) == (False, {"info": None})
    monkeypatch.setattr(engine_look, "SOCKET", stack.path)
    assert set(run_module(engine_look, check=True, **wanted)["engine"]["found"]) == {"shop-web"}
    del stack.answers["/networks"]
    answer = run_module(engine_look, **wanted)
    assert answer["failed"]
    assert answer["msg"].endswith("did not answer /networks")


@pytest.mark.parametrize(
    ("labels", "hostname", "name", "own"),
    [
        ({"pressdock.container": "web"}, "x", "elsewhere", "web"),
        ({"pressdock.container": "web"}, "x", "shop-gate", "web"),
        # Made before there was the label.
        ({"pressdock.service": "web"}, "web", "elsewhere", "web"),
        ({}, "x", "shop-web", "web"),
        ({"pressdock.service": "web"}, "0123456789ab", "shop-web.former", "web"),
        ({"pressdock.service": "web"}, "0123456789ab", "elsewhere", "elsewhere"),
        # What is no plain name is none: it becomes a path.
        ({"pressdock.container": "../../etc"}, "", "shop-web", "web"),
        ({}, "", "shop-..", ""),
        (None, None, "Other_One", ""),
    ],
)
def test_a_container_is_who_its_labels_say(labels: Any, hostname: Any, name: str, own: str) -> None:
    assert engine_api.own_name(labels, hostname, name, "shop") == own


class TestDirectories:
    """Whether what is mounted is what has the path, asked of the kernel."""

    def mounted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Path, root: str = "") -> list[Any]:
        """Let process 7 have a directory mounted at /data, and compare it with the one of the volume's path."""
        monkeypatch.setattr(engine_api, "PROCESSES", str(tmp_path / "proc"))
        (tmp_path / "proc/7/root").mkdir(parents=True)
        (tmp_path / "proc/self").mkdir()
        (tmp_path / "proc/7/root/data").symlink_to(place)
        table = "1 0 8:1 {} {} rw - ext4 /dev/x rw\n"
        root = root or str(place)
        (tmp_path / "proc/7/mountinfo").write_text(
            table.format("/", "/") + table.format(root.replace(" ", "\\040"), "/data"), encoding="utf-8"
        )
        (tmp_path / "proc/self/mountinfo").write_text(table.format("/", "/"), encoding="utf-8")
        inspected = {"State": {"Pid": 7}, "Mounts": [{"Type": "volume", "Name": "v", "Destination": "/data"}]}
        return engine_api.moved_mounts(inspected, {"v": str(tmp_path / "volumes/v")}, str(tmp_path))

    def test_it_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "volumes/v").mkdir(parents=True)
        assert self.mounted(tmp_path, monkeypatch, tmp_path / "volumes/v") == []

    @pytest.mark.parametrize("made", [True, False])
    def test_it_was_moved(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool) -> None:
        """Whether another one was made in its place or not."""
        aside = tmp_path / "volumes/set aside"
        aside.mkdir(parents=True)
        if made:
            (tmp_path / "volumes/v").mkdir()
        assert self.mounted(tmp_path, monkeypatch, aside) == [
            {"destination": "/data", "path": str(tmp_path / "volumes/v"), "volume": "v", "now": str(aside)}
        ]

    def test_it_was_deleted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        held = tmp_path / "held"
        held.mkdir()
        (found,) = self.mounted(tmp_path, monkeypatch, held, f"{tmp_path}/volumes/v//deleted")
        assert found["now"] == f"{tmp_path}/volumes/v//deleted"

    def test_what_cannot_be_seen_is_not_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that has ended meanwhile; a container that does not run; what is mounted from elsewhere."""
        assert self.mounted(tmp_path, monkeypatch, tmp_path / "nowhere") == []
        elsewhere = {"Type": "bind", "Source": "/sys", "Destination": "/data"}
        assert engine_api.moved_mounts({"State": {"Pid": 7}, "Mounts": [elsewhere]}, {}, str(tmp_path)) == []
        assert engine_api.moved_mounts({"State": {"Pid": 0}, "Mounts": [elsewhere]}, {}, "/sys") == []

    def test_a_file_system_that_is_mounted_elsewhere_on_the_host(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A path in a file system is one below its mount point."""
        monkeypatch.setattr(engine_api, "PROCESSES", str(tmp_path))
        for process, lines in (
            ("7", "1 0 8:2 /data/aside /data rw\n"),
            ("self", "1 0 8:1 / / rw\n2 1 8:2 / /srv rw\n"),
        ):
            (tmp_path / process).mkdir()
            (tmp_path / process / "mountinfo").write_text(lines, encoding="utf-8")
        assert engine_api.present_place(7, "/data") == "/srv/data/aside"
        assert engine_api.present_place(7, "/other") == ""
        assert engine_api.present_place(8, "/data") == ""

    def test_kinds(self, tmp_path: Path) -> None:
        (tmp_path / "full/more").mkdir(parents=True)
        (tmp_path / "empty/lost+found").mkdir(parents=True)
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("full")
        kinds = {name: engine_api.kind_of_directory(str(tmp_path / name)) for name in ("full", "empty", "file", "link")}
        assert kinds == {"full": "directory", "empty": "empty", "file": "file", "link": "link"}
        assert engine_api.kind_of_directory(str(tmp_path / "file/below")) == "missing"
        (tmp_path / engine_api.HELD).mkdir(parents=True)
        (tmp_path / engine_api.HELD / "v").touch()
        assert engine_api.directories_of({"v": str(tmp_path / "full"), "w": "/nowhere"}, str(tmp_path)) == {
            "v": {"path": str(tmp_path / "full"), "kind": "directory", "held": True},
            "w": {"path": "/nowhere", "kind": "missing", "held": False},
        }

    def test_what_others_have_mounted_is_found_by_any_way(self, tmp_path: Path) -> None:
        """By the volume's name, by another volume of the same directory, by its path, or through a link."""
        (tmp_path / "volumes/data").mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path / "volumes")
        place = str(tmp_path / "volumes/data")
        devices = {"shop-data": place, "theirs": f"{tmp_path}/link/data", "plain": ""}
        mounts = [
            {"Type": "volume", "Name": "shop-data", "RW": True},
            {"Type": "volume", "Name": "theirs", "RW": False},
            {"Type": "volume", "Name": "plain", "Source": "/var/lib/docker/volumes/plain/_data", "RW": True},
            {"Type": "bind", "Source": f"{tmp_path}/link/data", "RW": True},
            {"Type": "bind", "Source": "/etc", "RW": True},
        ]
        assert engine_api.data_mounts({"Mounts": mounts}, devices, str(tmp_path)) == [
            {"place": place, "rw": True}, {"place": place, "rw": False}, {"place": place, "rw": True},
        ]  # fmt: skip
