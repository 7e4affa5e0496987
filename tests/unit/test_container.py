"""The container role's filters: what is declared against what the engine lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import container
from module_utils import engine_api


def image(service: str, digest: str, *, created: int = 1, stack: str = "shop", tag: str | None = "") -> dict[str, Any]:
    """Return one entry of docker_host_info's image list."""
    return {
        "Id": f"sha256:{service}-{digest}",
        "Created": created,
        "RepoTags": None if tag is None else [tag or f"{stack}/{service}:{digest}"],
        "Labels": {"pressdock.stack": stack, "pressdock.service": service, "pressdock.digest": digest},
    }


def declared(service: str, digest: str) -> dict[str, Any]:
    """Return one entry of container_images."""
    return {"reference": f"shop/{service}:{digest}", "digest": digest}


def service(*containers: dict[str, Any]) -> dict[str, Any]:
    """Return a service with these containers."""
    return {"name": "toy", "containers": list(containers)}


class TestContextDigest:
    def test_is_sixteen_hexadecimal_digits_and_does_not_depend_on_order(self) -> None:
        digest = container.context_digest({"a": "1", "b": "2"}, "epoch")
        assert digest == container.context_digest({"b": "2", "a": "1"}, "epoch")
        assert len(digest) == 16
        assert int(digest, 16) >= 0

    @pytest.mark.parametrize(
        "other",
        [({"a": "1", "b": "3"}, "x"), ({"a": "1"}, "x"), ({"a": "1", "c": "2"}, "x"), ({"a": "1", "b": "2"}, "y")],
    )
    def test_changes_with_content_name_and_epoch(self, other: tuple[dict[str, str], str]) -> None:
        assert container.context_digest({"a": "1", "b": "2"}, "x") != container.context_digest(*other)

    def test_does_not_confuse_where_one_file_ends(self) -> None:
        assert container.context_digest({"a": "1b2"}) != container.context_digest({"a": "1", "b": "2"})


class TestMissingImages:
    images = {"web": declared("web", "aaaa"), "db": declared("db", "bbbb")}

    def test_names_what_has_no_tag(self) -> None:
        assert container.missing_images(self.images, [image("web", "aaaa"), image("web", "cccc", tag=None)]) == ["db"]

    def test_does_not_trust_a_tag_that_was_moved(self) -> None:
        moved = image("web", "eeee", tag="shop/web:aaaa")
        assert container.missing_images(self.images, [moved, image("db", "bbbb")]) == ["web"]

    def test_is_empty_when_all_are_there(self) -> None:
        assert container.missing_images(self.images, [image("web", "aaaa"), image("db", "bbbb")]) == []


class TestBuildWaves:
    images = {name: declared(name, f"0{number}") for number, name in enumerate(("base", "db", "app", "web"), 1)}
    contexts = {
        "base": {"Dockerfile": "FROM scratch"},
        "db": {"Dockerfile": "FROM shop/base:01"},
        "app": {"Dockerfile": "FROM shop/base:01"},
        "web": {"Dockerfile": "FROM shop/base:01\nCOPY --from=shop/app:03 / /"},
    }

    def test_builds_in_parallel_what_does_not_wait(self) -> None:
        assert container.build_waves(self.images, self.images, self.contexts) == [["base"], ["app", "db"], ["web"]]

    def test_does_not_wait_for_what_exists(self) -> None:
        assert container.build_waves(["web", "db"], self.images, self.contexts) == [["db", "web"]]
        assert container.build_waves([], self.images, {}) == []

    def test_refuses_a_circle(self) -> None:
        images = {"a": declared("a", "1"), "b": declared("b", "2")}
        contexts = {"a": {"Dockerfile": "FROM shop/b:2"}, "b": {"Dockerfile": "FROM shop/a:1"}}
        with pytest.raises(AnsibleFilterError, match="a, b start from each other"):
            container.build_waves(images, images, contexts)


class TestBuildLines:
    def test_shows_the_end_of_the_output_and_the_reason(self) -> None:
        output = ["Step 1/2 : FROM x\n", "\x1b[91mno such\n", " package\x1b[0m\n", "\n", "it's over\n"]
        message = f"Error building shop/web:1 - code: 1, message: RUN returned 1, logs: {output}"
        assert container.build_lines(message, 2) == (
            " package\nit's over\nError building shop/web:1 - code: 1, message: RUN returned 1"
        )

    def test_shows_what_it_cannot_read(self) -> None:
        assert container.build_lines("the job is gone", 5) == "the job is gone"
        assert container.build_lines("Error - message: x, logs: [broken", 5) == "broken\nError - message: x"


class TestHealthCheck:
    check = {"test": ["CMD", "probe", "x"], "start_period": 21}
    declared = {"user": "redis", "healthcheck": check}
    usual = {
        "test": ["CMD", "within", "9", "probe", "x"],
        "interval": "17s",
        "timeout": "14s",
        "retries": 1,
        "start_period": "21s",
    }

    @pytest.mark.parametrize("version", ["25.0.0", "26.1.5+dfsg1"])
    def test_asks_often_at_the_start_where_the_engine_can(self, version: str) -> None:
        completed = container.container_health_check(self.declared, 17, 9, 1, {"ServerVersion": version})
        assert completed == {**self.usual, "start_interval": "1s"}

    @pytest.mark.parametrize("engine", [None, {}, {"ServerVersion": "20.10.24+dfsg1"}, {"ServerVersion": "dev"}])
    def test_asks_at_the_interval_elsewhere(self, engine: dict[str, str] | None) -> None:
        assert container.container_health_check(self.declared, 17, 9, engine=engine) == self.usual

    def test_asks_tools_half_as_often(self) -> None:
        assert container.container_health_check(
            {"user": "redis", "healthcheck": {**self.check, "seldom": True}}, 17, 9
        ) == {
            **self.usual,
            "interval": "34s",
        }

    def test_gives_a_slow_machine_more_time_and_asks_as_often(self) -> None:
        assert container.container_health_check(self.declared, 17, 9, 2.5) == {
            "test": ["CMD", "within", "23", "probe", "x"],
            "interval": "17s",
            "timeout": "36s",
            "retries": 1,
            "start_period": "53s",
        }

    def test_becomes_the_user_of_a_container_that_starts_as_root(self) -> None:
        completed = container.container_health_check({**self.declared, "starts_as_root": True}, 17, 9)
        assert completed["test"] == [
            "CMD", "setpriv", "--reuid=redis", "--regid=redis", "--clear-groups", "within", "9", "probe", "x",
        ]  # fmt: skip


def test_who_asks_the_engine_gets_its_socket_and_no_more() -> None:
    mounts = container.container_mounts({"secrets_digest": "", "asks_engine": True}, "shop", "/srv/shop", {})
    assert mounts == ["/run/docker.sock:/run/docker.sock:ro"]


class TestObservation:
    engine = {"DockerRootDir": "/data/engine", "Driver": "overlay2"}

    def test_is_read_only_and_follows_the_engine(self) -> None:
        mounts = container.container_mounts(
            {"secrets_digest": "", "observes_host": True}, "shop", "/srv/shop", self.engine
        )
        assert mounts == [
            "/sys:/sys:ro",
            "/proc:/rootfs/proc:ro",
            "/data/engine:/rootfs/data/engine:ro",
            "/run/docker.sock:/run/docker.sock:ro",
        ]

    def test_asks_containerd_where_it_keeps_the_images(self) -> None:
        mounts = container.observation_mounts({**self.engine, "Driver": "overlayfs"})
        assert mounts[-1] == "/run/containerd/containerd.sock:/run/containerd/containerd.sock:ro"

    def test_is_nobody_else_s(self) -> None:
        assert container.container_mounts({"secrets_digest": ""}, "shop", "/srv/shop", self.engine) == []


def test_health_reports_are_those_of_healthy_containers() -> None:
    found = {"shop-a": {"healthy": True, "report": "fine"}, "shop-b": {"healthy": False, "report": "not yet"}}
    assert container.health_reports(found, "shop") == {"a": "fine"}


INSPECTED = {
    "Id": "0a1b",
    "Name": "/shop-web",
    "Image": "sha256:1",
    "Path": "nginx",
    "Args": [],
    "State": {"Running": True, "Paused": False, "Pid": 77, "StartedAt": "then", "Health": {"Status": "healthy"}},
    "Config": {"User": "612", "Labels": {"a": "b"}},
    "HostConfig": {"Memory": 5, "RestartPolicy": {"Name": "always"}},
    "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
    "RestartCount": 0,
    "NetworkSettings": {
        "SandboxID": "x",
        "Ports": {"80/tcp": [{"HostPort": "8080"}]},
        "Networks": {"shop-web": {"NetworkID": "n", "Aliases": ["web", "0a1b"], "IPAddress": "172.17.0.2"}},
    },
}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of a nested document with another value at `a/b/c`."""
    copy = json.loads(json.dumps(document))
    place = copy
    *parents, last = path.split("|")
    for key in parents:
        place = place[key]
    place[last] = value
    return dict(copy)


class TestFingerprint:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("Id", "2c3d"),
            ("Image", "sha256:2"),
            ("Path", "sh"),
            ("Args", ["-c"]),
            ("State|Running", False),
            ("State|Paused", True),
            ("Config|User", "0"),
            ("Config|Labels", {}),
            ("HostConfig|Memory", 6),
            ("HostConfig|RestartPolicy", {"Name": "no"}),
            ("Mounts", [{"Source": "/a"}]),
            ("NetworkSettings|Ports", {}),
            ("NetworkSettings|Networks|shop-web|Aliases", ["web", "0a1b", "db"]),
            ("NetworkSettings|Networks|shop-web|NetworkID", "another"),
            ("NetworkSettings|Networks", {}),
        ],
    )
    def test_changes_with_what_somebody_may_have_done(self, path: str, value: Any) -> None:
        assert engine_api.fingerprint(changed(INSPECTED, path, value)) != engine_api.fingerprint(INSPECTED)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("State|Pid", 78),
            ("State|StartedAt", "now"),
            ("RestartCount", 3),
            ("Name", "/elsewhere"),
            ("Mounts", [{"Source": "/b"}, {"Source": "/a"}]),
            ("NetworkSettings|SandboxID", "y"),
            ("NetworkSettings|Networks|shop-web|IPAddress", "172.17.0.3"),
            ("NetworkSettings|Networks|shop-web|Aliases", ["0a1b", "web"]),
        ],
    )
    def test_does_not_change_by_itself(self, path: str, value: Any) -> None:
        assert engine_api.fingerprint(changed(INSPECTED, path, value)) == engine_api.fingerprint(INSPECTED)


# What engines say of a container that nothing was declared of: 20.10 and 28.
DEFAULTS: list[dict[str, Any]] = [
    {
        "Id": "0123456789abcdef",
        "Name": "/shop-toy",
        "Config": {"Hostname": "toy", "Domainname": "", "Tty": False, "OpenStdin": False, "WorkingDir": "/somewhere"},
        "HostConfig": {
            "AutoRemove": False,
            "BlkioWeight": 0,
            "BlkioWeightDevice": None,
            "CgroupnsMode": "host",
            "CpuShares": 0,
            "CpusetCpus": "",
            "DnsOptions": None,
            "IpcMode": "shareable",
            "KernelMemory": 0,
            "MemoryReservation": 0,
            "MemorySwappiness": -1,
            "OomKillDisable": False,
            "OomScoreAdj": 0,
            "Runtime": "runc",
            "ShmSize": 67108864,
        },
        "NetworkSettings": {"Networks": {"shop-web": {"Aliases": ["toy", "toy.web", "0123456789ab", "shop-toy"]}}},
    },
    {
        "Id": "0123456789abcdef",
        "Name": "/shop-toy",
        "Config": {"Hostname": "toy", "Domainname": "", "Tty": False, "OpenStdin": False, "StdinOnce": False},
        "HostConfig": {
            "BlkioDeviceReadBps": [],
            "BlkioWeightDevice": [],
            "CgroupnsMode": "private",
            "DeviceRequests": None,
            "DnsOptions": [],
            "DnsSearch": [],
            "IpcMode": "private",
            "MemorySwappiness": None,
            "OomKillDisable": None,
            "PidMode": "",
            "Runtime": "io.containerd.runc.v2",
            "ShmSize": 67108864,
            "StorageOpt": {},
            "UTSMode": "",
            "UsernsMode": "",
        },
        "NetworkSettings": {
            "Networks": {"shop-web": {"Aliases": ["toy", "toy.web"], "DNSNames": ["shop-toy", "0123456789ab"]}}
        },
    },
]


@pytest.mark.parametrize("inspected", DEFAULTS, ids=["20.10", "28"])
class TestUndeclared:
    toy: dict[str, Any] = {"name": "toy", "networks": ["web"], "declared": "d", "overlap": "web"}

    def engine(self, inspected: dict[str, Any], name: str = "shop-toy") -> dict[str, Any]:
        """Return a look at an engine that has one container, of which nothing is recorded."""
        state = {
            "fingerprint": engine_api.fingerprint(inspected),
            "undeclared": engine_api.undeclared_options(inspected),
            "aliases": engine_api.given_aliases(inspected),
        }
        return {"found": {name: state}, "records": {}, "containers": [{"Names": [f"/{name}"], "State": "running"}]}

    def test_nothing_by_default(self, inspected: dict[str, Any]) -> None:
        assert container.undeclared_options([self.toy], self.engine(inspected), "shop") == {}

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("Config|Domainname", "example.test"),
            ("Config|OpenStdin", True),
            ("Config|StdinOnce", True),
            ("Config|Tty", True),
            ("HostConfig|AutoRemove", True),
            ("HostConfig|BlkioDeviceReadBps", [{"Path": "/dev/sda", "Rate": 1}]),
            ("HostConfig|BlkioDeviceReadIOps", [{"Path": "/dev/sda", "Rate": 1}]),
            ("HostConfig|BlkioDeviceWriteBps", [{"Path": "/dev/sda", "Rate": 1}]),
            ("HostConfig|BlkioDeviceWriteIOps", [{"Path": "/dev/sda", "Rate": 1}]),
            ("HostConfig|BlkioWeight", 10),
            ("HostConfig|BlkioWeightDevice", [{"Path": "/dev/sda", "Weight": 10}]),
            ("HostConfig|CgroupParent", "/elsewhere"),
            ("HostConfig|CpuPeriod", 50000),
            ("HostConfig|CpuQuota", 25000),
            ("HostConfig|CpuRealtimePeriod", 1000),
            ("HostConfig|CpuRealtimeRuntime", 1000),
            ("HostConfig|CpuShares", 512),
            ("HostConfig|CpusetCpus", "0"),
            ("HostConfig|CpusetMems", "0"),
            ("HostConfig|DeviceCgroupRules", ["c 1:3 r"]),
            ("HostConfig|DeviceRequests", [{"Driver": "nvidia", "Count": -1}]),
            ("HostConfig|DnsOptions", ["ndots:2"]),
            ("HostConfig|DnsSearch", ["example.test"]),
            ("HostConfig|IpcMode", "host"),
            ("HostConfig|MemoryReservation", 1 << 20),
            ("HostConfig|MemorySwappiness", 60),
            ("HostConfig|OomKillDisable", True),
            ("HostConfig|OomScoreAdj", -500),
            ("HostConfig|PidMode", "host"),
            ("HostConfig|PublishAllPorts", True),
            ("HostConfig|Runtime", "sysbox-runc"),
            ("HostConfig|ShmSize", 128 << 20),
            ("HostConfig|StorageOpt", {"size": "9G"}),
            ("HostConfig|UTSMode", "host"),
            ("HostConfig|UsernsMode", "host"),
            ("HostConfig|VolumeDriver", "other"),
        ],
    )
    def test_option(self, inspected: dict[str, Any], path: str, value: Any) -> None:
        engine = self.engine(changed(inspected, path, value))
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": [path.partition("|")[2]]}

    def test_alias(self, inspected: dict[str, Any]) -> None:
        """On a declared network; any other is left."""
        networks = {
            "shop-web": {"Aliases": ["toy", "toy.web", "0123456789ab", "database"]},
            "bridge": {"Aliases": ["database"]},
            "shop-old": {"Aliases": None},
        }
        engine = self.engine(changed(inspected, "NetworkSettings|Networks", networks))
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": ["alias database on shop-web"]}

    def test_what_was_recorded_like_this_is_left(self, inspected: dict[str, Any]) -> None:
        """Otherwise an engine with defaults of its own would have its containers made anew in every run."""
        engine = self.engine(changed(inspected, "HostConfig|ShmSize", 1 << 20))
        fingerprint = engine["found"]["shop-toy"]["fingerprint"]
        engine["records"]["shop-toy"] = container.container_record("d", fingerprint)
        assert container.undeclared_options([self.toy], engine, "shop") == {}
        engine["records"]["shop-toy"] = container.container_record("another", fingerprint)
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": ["ShmSize"]}

    def test_mount_of_a_directory_that_is_another_by_now(self, inspected: dict[str, Any]) -> None:
        """Also where the container itself is as it was recorded."""
        engine = self.engine(inspected)
        engine["found"]["shop-toy"]["moved"] = [{"destination": "/run/secrets", "volume": ""}]
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": ["mount /run/secrets"]}
        engine["records"]["shop-toy"] = container.container_record("d", engine["found"]["shop-toy"]["fingerprint"])
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": ["mount /run/secrets"]}

    def test_where_a_handover_has_left_it(self, inspected: dict[str, Any]) -> None:
        engine = self.engine(changed(inspected, "HostConfig|CpuShares", 2), "shop-toy.shop-web")
        assert container.undeclared_options([self.toy], engine, "shop") == {"toy": ["CpuShares"]}

    def test_nothing_where_there_is_none(self, inspected: dict[str, Any]) -> None:
        assert inspected
        assert container.undeclared_options([self.toy], {"info": None}, "shop") == {}


class TestSettled:
    image = declared("web", "a1")
    containers = container.declared_containers([{"name": "web", "labels": {}}], image, ["options"])

    def engine(self, **found: Any) -> dict[str, Any]:
        """Return a look at an engine whose container was recorded as it is, but for what is given."""
        state = {"fingerprint": "f", "healthy": True, "report": ""} | found
        return {
            "found": {"shop-web": state},
            "records": {"shop-web": container.container_record(self.containers[0]["declared"], "f")},
        }

    def test_what_was_recorded_and_is_healthy(self) -> None:
        assert container.is_settled(self.containers, "shop", self.engine())
        assert container.is_settled([], "shop", {})

    @pytest.mark.parametrize("found", [{"fingerprint": "g"}, {"healthy": False}, {"moved": [{"volume": ""}]}])
    def test_not_what_has_changed(self, found: dict[str, Any]) -> None:
        assert not container.is_settled(self.containers, "shop", self.engine(**found))

    @pytest.mark.parametrize(
        ("containers", "image", "options"),
        [
            ([{"name": "web", "labels": {"a": "b"}}], image, ["options"]),
            ([{"name": "web", "labels": {}}], declared("web", "a2"), ["options"]),
            ([{"name": "web", "labels": {}}], image, ["other options"]),
            ([{"name": "web", "labels": {}}, {"name": "new"}], image, ["options"]),
        ],
    )
    def test_not_what_is_declared_otherwise(self, containers: Any, image: Any, options: Any) -> None:
        now = container.declared_containers(containers, image, options)
        assert not container.is_settled(now, "shop", self.engine())

    def test_not_what_nobody_recorded(self) -> None:
        assert not container.is_settled(self.containers, "shop", {**self.engine(), "records": {"shop-web": {}}})
        assert not container.is_settled(self.containers, "shop", {})

    def test_records_are_written_where_they_are_read(self, tmp_path: Path) -> None:
        """What a run writes after it has compared a container is what the next one finds."""
        result = {"item": self.containers[0], "container": INSPECTED}
        (tree,) = container.record_trees([result, {"item": {"name": "absent"}}], str(tmp_path))
        Path(tree["path"]).mkdir(parents=True)
        for name, text in tree["files"].items():
            (Path(tree["path"]) / name).write_text(text)
        record = engine_api.read_record(str(tmp_path), "web")
        assert record.pop("id") == INSPECTED["Id"]
        assert record == container.container_record(self.containers[0]["declared"], engine_api.fingerprint(INSPECTED))
        assert engine_api.read_record(str(tmp_path), "other") == {}
        (Path(tree["path"]) / engine_api.RECORD_FILE).write_text("half a rec")
        assert engine_api.read_record(str(tmp_path), "web") == {}


class TestAsking:
    def test_questions_and_answers_bear_the_engine_s_names_in_between(self) -> None:
        questions = container.engine_questions([{"container": "db", "argv": ["x"]}], "shop")
        assert questions == [{"container": "shop-db", "argv": ["x"]}]
        answers = container.container_answers(
            [{"container": "shop-db", "rc": 0, "stdout": "y", "stderr": "", "more": 1}], "shop"
        )
        assert answers == {"db": {"rc": 0, "stdout": "y", "stderr": ""}}

    def test_silence_is_explained(self) -> None:
        answer = {"container": "shop-db", "rc": 1, "stdout": "", "stderr": "no such database\n"}
        assert container.silent_container(answer) == "shop-db does not answer (exit status 1): no such database"


class TestSupersededImages:
    listing = [
        image("web", "a1", created=1),
        image("web", "a2", created=2),
        image("web", "a3", created=3),
        image("web", "a4", created=4),
        image("db", "b1", created=1),
        image("web", "a1", created=1, stack="other"),
        {"Id": "sha256:foreign", "Created": 9, "RepoTags": ["debian:13"], "Labels": None},
    ]

    def test_keeps_the_newest_and_what_is_in_use(self) -> None:
        current = {"web": declared("web", "a2")}
        assert container.superseded_images(self.listing, "shop", current, 1) == ["sha256:web-a3", "sha256:web-a1"]
        assert container.superseded_images(self.listing, "shop", current, 3) == []

    def test_stages_of_a_build_stay_and_go_with_its_image(self) -> None:
        stages = [
            {**image("web", digest, tag=None), "Id": f"sha256:stage-{digest}", "RepoTags": []}
            for digest in ("a1", "a3", "a4")
        ]
        current = {"web": declared("web", "a4")}
        superseded = container.superseded_images([*self.listing, *stages], "shop", current, 1)
        assert set(superseded) == {"sha256:web-a2", "sha256:web-a1", "sha256:stage-a1"}

    def test_leaves_services_alone_that_the_run_did_not_prepare(self) -> None:
        assert container.superseded_images(self.listing, "shop", {"web": declared("web", "a4")}, 0) == [
            "sha256:web-a3",
            "sha256:web-a2",
            "sha256:web-a1",
        ]


class TestImagesThatOthersWereBuiltOn:
    """An engine's whole listing, steps of builds included: base b1 and b2, each with services and their stages."""

    @staticmethod
    def listed(identifier: str, parent: str, created: int, digest: str = "", **labels: str) -> dict[str, Any]:
        """Return an entry of the engine's list; a service's image has the digest that its tag bears."""
        service = labels.get("service", identifier.partition("-")[0])
        tagged = bool(digest) and not labels
        return {
            "Id": f"sha256:{identifier}",
            "ParentId": f"sha256:{parent}" if parent else "",
            "Created": created,
            # As an engine of before 24 writes it, whose later ones write an empty list.
            "RepoTags": [f"shop/{service}:{digest}"] if tagged else ["<none>:<none>"],
            "RepoDigests": None,
            "Size": 1,
            "Labels": {"pressdock.stack": "shop", "pressdock.service": service, "pressdock.digest": digest}
            if digest
            else None,
        }

    def listing(self) -> list[dict[str, Any]]:
        def step(identifier: str, parent: str, created: int, base: str) -> dict[str, Any]:
            # A step inherits the labels of the image that it starts from.
            return self.listed(identifier, parent, created, base, service="base")

        return [
            self.listed("base-b2", "base-b2-step", 20, "b2"),
            self.listed("base-b2-step", "", 19),
            self.listed("base-b1", "", 10, "b1"),
            step("web-w1-step", "base-b1", 11, "b1"),
            self.listed("web-w1", "web-w1-step", 12, "w1"),
            step("web-w1-stage", "base-b1", 11, "b1"),
            step("web-w2-step", "base-b2", 21, "b2"),
            self.listed("web-w2", "web-w2-step", 22, "w2"),
            step("web-w2-stage", "base-b2", 21, "b2"),
            step("ftp-f1-step", "base-b1", 11, "b1"),
            self.listed("ftp-f1", "ftp-f1-step", 13, "f1"),
        ]

    def superseded(self, keep: int, *, gone: str = "no such", **declares: str) -> list[str]:
        images = engine_api.images_with_ancestors([one for one in self.listing() if gone not in one["Id"]])
        current = {service: declared(service, digest) for service, digest in declares.items()}
        return [one.removeprefix("sha256:") for one in container.superseded_images(images, "shop", current, keep)]

    def test_steps_of_a_build_are_no_images_of_their_own(self) -> None:
        found = {one["Id"].removeprefix("sha256:"): one for one in engine_api.images_with_ancestors(self.listing())}
        assert set(found) == {
            *("base-b1", "base-b2", "web-w1", "web-w2", "ftp-f1"),
            *("web-w1-stage", "web-w2-stage"),
        }
        assert found["web-w2"]["Ancestors"] == ["sha256:base-b2"]
        assert found["base-b2"]["Ancestors"] == []
        assert found["web-w1-stage"]["RepoTags"] == []

    def test_base_stays_under_an_image_that_the_run_leaves_alone(self) -> None:
        """The FTP server was switched off before the base was replaced."""
        assert self.superseded(0, base="b2", web="w2") == ["web-w1", "web-w1-stage"]

    def test_base_goes_once_nothing_needs_it(self) -> None:
        assert self.superseded(0, gone="ftp", base="b2", web="w2") == ["web-w1", "web-w1-stage", "base-b1"]
        assert self.superseded(0, base="b2", web="w2", ftp="f2") == ["ftp-f1", "web-w1", "web-w1-stage", "base-b1"]

    def test_base_stays_under_an_image_that_is_in_use_or_kept(self) -> None:
        """Sooner or later the same: what is declared again was built on the older base, or the newest one is kept."""
        assert self.superseded(0, gone="ftp", base="b2", web="w1") == ["web-w2", "web-w1-stage"]
        assert self.superseded(0, base="b2", web="w2", ftp="f1") == ["web-w1", "web-w1-stage"]
        assert self.superseded(1, base="b2", web="w2", ftp="f1") == []

    def test_base_stays_under_what_somebody_else_has_built_on_it(self) -> None:
        theirs = {"Id": "sha256:theirs", "ParentId": "sha256:base-b1", "Created": 30, "RepoTags": [], "Labels": None}
        images = engine_api.images_with_ancestors([*(one for one in self.listing() if "ftp" not in one["Id"]), theirs])
        current = {"base": declared("base", "b2"), "web": declared("web", "w2")}
        assert container.superseded_images(images, "shop", current, 0) == ["sha256:web-w1", "sha256:web-w1-stage"]

    def test_where_the_engine_does_not_say_what_was_built_on_what_nothing_is_needed(self) -> None:
        """BuildKit's images hang on no other; their names are all there is."""
        listing = [{**one, "ParentId": ""} for one in self.listing() if "st" not in one["Id"]]
        images = engine_api.images_with_ancestors(listing)
        current = {"base": declared("base", "b2"), "web": declared("web", "w2")}
        assert container.superseded_images(images, "shop", current, 0) == ["sha256:web-w1", "sha256:base-b1"]


class TestNetworks:
    @staticmethod
    def listed(**changes: Any) -> dict[str, Any]:
        return {
            "Name": "shop-web",
            "Driver": "bridge",
            "Internal": True,
            "Attachable": False,
            "EnableIPv6": False,
            "Labels": {"pressdock.stack": "shop"},
            **changes,
        }

    def test_collects_each_name_once(self) -> None:
        services = [service({"networks": ["web", "edge"]}), service({"networks": ["web"]}, {})]
        assert container.container_networks(services) == ["edge", "web"]

    def test_finds_nothing_to_do(self) -> None:
        assert container.network_changes(["web"], [self.listed()], "shop", ["edge"]) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"Name": "x"},
            {"Driver": "macvlan"},
            {"Internal": False},
            {"Attachable": True},
            {"EnableIPv6": True},
            {"Labels": None},
            {"Options": {"mtu": "9"}},
        ],
    )
    def test_sees_each_difference(self, change: dict[str, Any]) -> None:
        wanted = [{"name": "shop-web", "internal": True, "options": {}}]
        assert container.network_changes(["web"], [self.listed(**change)], "shop", ["edge"]) == wanted

    def test_a_network_that_is_not_there_is_made(self) -> None:
        wanted = [{"name": "shop-web", "internal": True, "options": {}}]
        assert container.network_changes(["web"], [], "shop", ["edge"]) == wanted

    def test_external_networks_keep_their_members_apart(self) -> None:
        options = {"com.docker.network.bridge.enable_icc": "false"}
        wanted = [{"name": "shop-edge", "internal": False, "options": options}]
        assert container.network_changes(["edge"], [], "shop", ["edge"]) == wanted
        open_network = self.listed(Name="shop-edge", Internal=False)
        assert container.network_changes(["edge"], [open_network], "shop", ["edge"]) == wanted
        assert container.network_changes(["edge"], [{**open_network, "Options": options}], "shop", ["edge"]) == []

    def test_a_run_about_other_services_as_well_leaves_those_that_exist(self) -> None:
        listing = [self.listed(Internal=False)]
        found = container.network_changes(["edge", "web"], listing, "shop", ["edge"], missing_only=True)
        assert [change["name"] for change in found] == ["shop-edge"]

    def test_ipv6_is_where_it_is_declared_with_its_range(self) -> None:
        ranges = {"web": "fd00:1:2:3::/64"}
        wanted = [{"name": "shop-web", "internal": True, "options": {}, "subnet": "fd00:1:2:3::/64"}]

        def changes(*listing: dict[str, Any], ipv6: dict[str, str] | None = None) -> list[dict[str, Any]]:
            return container.network_changes(["web"], listing, "shop", [], 0, ipv6)

        both = self.listed(EnableIPv6=True, Subnets=["172.18.0.0/24", "fd00:1:2:3::/64"])
        assert changes(ipv6=ranges) == wanted
        assert changes(self.listed(Subnets=["172.18.0.0/24"]), ipv6=ranges) == wanted
        assert changes(both, ipv6=ranges) == []
        assert changes({**both, "Subnets": ["172.18.0.0/24", "fd00:1:2:4::/64"]}, ipv6=ranges) == wanted
        assert changes({**both, "Subnets": ["172.18.0.0/24"]}, ipv6=ranges) == wanted
        assert (
            changes(both)
            == changes(both, ipv6={"edge": "fd00::/64"})
            == [{k: v for k, v in wanted[0].items() if k != "subnet"}]
        )

    def test_all_have_the_declared_size_of_packets(self) -> None:
        def changes(mtu: Any, *listing: dict[str, Any]) -> dict[str, Any]:
            found = container.network_changes(["edge", "web"], listing, "shop", ["edge"], mtu)
            return {change["name"]: change["options"] for change in found}

        isolated = {"com.docker.network.bridge.enable_icc": "false"}
        small = {"com.docker.network.driver.mtu": "1420"}
        plain = [self.listed(), self.listed(Name="shop-edge", Internal=False, Options=isolated)]
        tuned = [self.listed(Options=small), self.listed(Name="shop-edge", Internal=False, Options=isolated | small)]
        assert changes(1420) == {"shop-edge": isolated | small, "shop-web": small}
        assert changes("1420", *plain) == changes(1420, *plain) == changes(1420)
        assert changes(1420, *tuned) == {}
        assert changes(0, *tuned) == {"shop-edge": isolated, "shop-web": {}}
        assert changes(1430, *tuned).keys() == {"shop-edge", "shop-web"}


class TestVolumes:
    toy = {"name": "toy", "user": "redis", "volumes": [{"name": "data", "path": "/data"}]}

    @staticmethod
    def listed(**changes: Any) -> dict[str, Any]:
        return {
            "Name": "shop-data",
            "Driver": "local",
            "Options": {"device": "/d/volumes/data", "o": "bind", "type": "none"},
            "Labels": {"pressdock.stack": "shop"},
            **changes,
        }

    def test_place_and_owner_have_defaults(self) -> None:
        assert container.container_volumes([service(self.toy)], "shop", "/data/shop") == [
            {"name": "shop-data", "directory": "/data/shop/volumes/data", "owner": "redis"}
        ]

    def test_parents_come_first(self) -> None:
        inner = {"name": "inner", "path": "/x", "location": "sites/blog/content"}
        outer = {"name": "outer", "path": "/y", "location": "sites"}
        volumes = container.container_volumes([service({**self.toy, "volumes": [inner, outer]})], "shop", "/d")
        assert [volume["name"] for volume in volumes] == ["shop-outer", "shop-inner"]

    def test_refuses_two_declarations_of_one_volume(self) -> None:
        other = {**self.toy, "user": "nginx"}
        with pytest.raises(AnsibleFilterError, match="volume data"):
            container.container_volumes([service(self.toy, other)], "shop", "/d")

    def test_compares_with_the_engine(self) -> None:
        volumes = container.container_volumes([service(self.toy)], "shop", "/d")
        right = self.listed()
        assert container.volume_changes(volumes, [right]) == []
        assert container.volume_changes(volumes, []) == volumes
        for listing in ([right], []):
            assert container.misplaced_volumes(volumes, listing, "shop") == []

    @pytest.mark.parametrize(
        ("changes", "difference"),
        [
            ({"Options": {"device": "/elsewhere"}}, "leads to /elsewhere, declared is /d/volumes/data"),
            ({"Options": None}, "leads to storage of the engine, declared is /d/volumes/data"),
            ({"Driver": "nfs"}, "is one of the driver nfs, declared is local"),
            (
                {"Options": {"device": "/d/volumes/data", "type": "tmpfs", "o": "size=9m"}},
                "has the options type=tmpfs,o=size=9m, declared are type=none,o=bind",
            ),
            (
                {"Options": {"device": "/d/volumes/data", "type": "none", "o": "bind,ro"}},
                "has the options type=none,o=bind,ro, declared are type=none,o=bind",
            ),
            ({"Labels": None}, "belongs to no stack, declared is shop"),
            ({"Labels": {"pressdock.stack": "other"}}, "belongs to the stack other, declared is shop"),
        ],
    )
    def test_refuses_a_volume_that_is_another(self, changes: dict[str, Any], difference: str) -> None:
        """What is there may be the only copy."""
        volumes = container.container_volumes([service(self.toy)], "shop", "/d")
        (problem,) = container.misplaced_volumes(volumes, [self.listed(**changes)], "shop")
        assert problem.startswith(f"Volume shop-data {difference}. Bring its files to /d/volumes/data")
        assert "docker volume rm shop-data" in problem

    def test_directories_belong_to_the_owner(self) -> None:
        volumes = container.container_volumes([service(self.toy)], "shop", "/d")
        assert container.host_directories(volumes, {"redis": 611}, "/d") == [
            {"path": "/d/volumes/data", "owner": 611, "group": 611, "mode": "0755"}
        ]

    def test_directories_between_a_volume_and_the_place_of_all_are_kept_as_well(self) -> None:
        """Whoever has the upper one mounted walks through them; those above it belong to others."""
        volumes = [
            {"directory": "/d/volumes/sites", "owner": "nginx"},
            {"directory": "/d/volumes/sites/blog/wp-content", "owner": "redis"},
        ]
        kept = container.host_directories(volumes, {"redis": 611, "nginx": 612}, "/d")
        assert [(entry["path"], entry["owner"], entry["mode"]) for entry in kept] == [
            ("/d/volumes/sites", 612, "0755"),
            ("/d/volumes/sites/blog", -1, "0755"),
            ("/d/volumes/sites/blog/wp-content", 611, "0755"),
        ]

    def test_a_directory_of_a_service_that_is_not_asked_keeps_its_owner(self) -> None:
        """A run of one role alone knows the volumes of the others only as what lies above its own."""
        volumes = [{"directory": "/d/volumes/sites/blog/wp-content", "owner": "redis"}]
        kept = {entry["path"]: entry["owner"] for entry in container.host_directories(volumes, {"redis": 611}, "/d")}
        assert kept["/d/volumes/sites"] == -1


class TestContainers:
    toy = {"name": "toy", "user": "redis", "secrets": {"token": "canary-7731"}, "networks": ["web"]}

    def test_sealing_leaves_no_secret(self) -> None:
        sealed = container.sealed_containers([self.toy, {"name": "plain"}], ["digest-1", "digest-2"])
        assert "canary-7731" not in repr(sealed)
        assert [entry["secrets_digest"] for entry in sealed] == ["digest-1", ""]

    def test_secrets_are_files_of_the_user_alone(self) -> None:
        (tree,) = container.secret_trees([service(self.toy, {"name": "plain"})], "/d", {"redis": 611})
        assert (tree["path"], tree["mode"], tree["file_mode"]) == ("/d/secrets/toy", "0500", "0400")
        assert (tree["owner"], tree["group"]) == (611, 611)
        assert tree["files"] == {"token": "canary-7731"}

    def test_mounts(self) -> None:
        volumes = [{"name": "data", "path": "/data"}, {"name": "sites", "path": "/srv", "read_only": True}]
        (sealed,) = container.sealed_containers([{**self.toy, "volumes": volumes}], ["x"])
        assert container.container_mounts(sealed, "shop", "/d") == [
            "shop-data:/data:rw",
            "shop-sites:/srv:ro",
            "/d/secrets/toy:/run/secrets:ro",
        ]

    def test_what_is_loaded_does_not_say_which_container_it_is(self) -> None:
        """Other secrets, another text: the same container, and the same mounts. Another directory is another one."""

        def sealed(secret: str, template: str, directory: str = "/etc/toy", **more: Any) -> dict[str, Any]:
            one = {
                **self.toy,
                "secrets": {"token": secret} if secret else {},
                "configuration": {"directory": directory, "templates": [template], "reads": [template]},
                "reloads_secrets": True,
                **more,
            }
            (entry,) = container.declared_containers(
                container.sealed_containers([one], [secret]), declared("toy", "a1"), []
            )
            return entry

        first = sealed("canary-7731", "a.j2")
        assert "canary-7731" not in repr(first)
        assert container.container_mounts(first, "shop", "/d") == [
            "/d/secrets/toy:/run/secrets:ro",
            "/d/configuration/toy:/etc/toy:ro",
        ]
        assert {sealed(*other)["declared"] for other in (("x", "a.j2"), ("canary-7731", "b.j2"), ("", "a.j2"))} == {
            first["declared"]
        }
        assert sealed("canary-7731", "a.j2", "/etc/other")["declared"] != first["declared"]
        assert sealed("canary-7731", "a.j2", reloads_secrets=False)["declared"] != first["declared"]

    def test_secrets_are_loaded_also_without_a_configuration(self) -> None:
        """By what the service's `repair` does: the container stays, with the directory that they are replaced in."""
        sealed = [
            container.declared_containers(
                container.sealed_containers(
                    [{**self.toy, "secrets": {"token": secret}, "reloads_secrets": True}], [secret]
                ),
                declared("toy", "a1"),
                [],
            )
            for secret in ("canary-7731", "other")
        ]
        assert sealed[0] == sealed[1]
        assert "canary-7731" not in repr(sealed)
        assert container.container_mounts(sealed[0][0], "shop", "/d") == ["/d/secrets/toy:/run/secrets:ro"]

    def test_loaded_secrets_have_a_directory_also_where_there_are_none(self) -> None:
        toy = {**self.toy, "secrets": {}, "reloads_secrets": True}
        (tree,) = container.secret_trees([service(toy, {"name": "plain"})], "/d", {"redis": 611})
        assert (tree["files"], tree["stated"]) == ({}, True)

    def test_volume_within_another_is_kept_and_not_mounted(self) -> None:
        """Another one makes no other container."""
        whole = {"name": "static", "path": "/srv/static", "owner": "redis"}
        within = {"name": "static-docs", "location": "static/docs", "owner": "redis"}
        plain, more = (
            container.declared_containers(
                container.sealed_containers([{**self.toy, "volumes": volumes}], ["x"]), declared("toy", "a1"), []
            )[0]
            for volumes in ([whole], [whole, within])
        )
        assert plain["declared"] == more["declared"]
        assert container.container_mounts(more, "shop", "/d")[0] == "shop-static:/srv/static:rw"
        assert "static-docs" not in repr(container.container_mounts(more, "shop", "/d"))
        volumes = container.container_volumes([service(more)], "shop", "/d")
        assert [volume["directory"] for volume in volumes] == ["/d/volumes/static", "/d/volumes/static/docs"]

    def test_tmpfs_cannot_run_programs(self) -> None:
        (mount,) = container.container_tmpfs({**self.toy, "tmpfs": {"/run": "size=3m"}}, {"redis": 611})
        assert mount == "/run:uid=611,gid=611,mode=0700,noexec,nosuid,nodev,size=3m"

    def test_short_name_is_the_alias(self) -> None:
        assert container.container_attachments(self.toy, "shop") == [
            {"name": "shop-web", "aliases": ["toy", "toy.web"]}
        ]
        named = {**self.toy, "aliases": {"web": ["toys.example.org"], "elsewhere": ["other.example.org"]}}
        (attachment,) = container.container_attachments(named, "shop")
        assert attachment["aliases"] == ["toy", "toy.web", "toys.example.org"]

    @pytest.mark.parametrize(
        ("actions", "reattached"),
        [
            ([{"added_to_network": "shop-web", "network_parameters": {}}], ["shop-toy"]),
            ([{"added_to_network": "shop-web"}, {"started": "0123"}], []),
            ([{"created": "Created container"}, {"added_to_network": "shop-web"}, {"started": "0123"}], []),
            ([{"updated": "0123"}], []),
            ([], []),
        ],
    )
    def test_only_running_ones_are_reattached(self, actions: list[dict[str, Any]], reattached: list[str]) -> None:
        results: list[dict[str, Any]] = [{"container": {"Name": "/shop-toy"}, "actions": actions}, {"skipped": True}]
        assert container.reattached_containers(results) == reattached
        everywhere: list[dict[str, Any]] = [{**results[0], "item": {"name": "toy", "listens_everywhere": True}}]
        assert container.reattached_containers(everywhere) == []

    def test_only_who_listens_everywhere_overstays(self) -> None:
        """The others have left networks that are not declared in the same step in which they joined theirs."""
        settings: dict[str, Any] = {"Networks": {"shop-web": {}, "shop-old": {}}}
        result: dict[str, Any] = {
            "item": {**self.toy, "listens_everywhere": True},
            "container": {"NetworkSettings": settings},
        }
        assert container.overstaying_containers([result, {"changed": True}], "shop") == ["toy"]
        assert container.overstaying_containers([{**result, "item": self.toy}], "shop") == []
        both = {**result["item"], "networks": ["web", "old"]}
        assert container.overstaying_containers([{**result, "item": both}], "shop") == []

    def test_compared_before_networks_are_made(self) -> None:
        """What joins a network that is still to be made is not; one that listens everywhere is, without that."""
        changes = [{"name": "shop-new"}]
        some: list[dict[str, Any]] = [
            {"name": "a", "networks": ["web"]},
            {"name": "b", "networks": ["web", "new"]},
            {"name": "c", "networks": ["web", "new"], "listens_everywhere": True},
            {"name": "d", "networks": ["new", "web"], "listens_everywhere": True},
        ]
        found = container.outside_networks(some, changes, "shop")
        assert [(one["name"], one["networks"]) for one in found] == [("a", ["web"]), ("c", ["web"])]

    @pytest.mark.parametrize(
        ("state", "unhealthy"),
        [
            ({"Health": {"Status": "healthy"}}, []),
            ({"Health": {"Status": "starting"}}, ["shop-toy"]),
            ({"Health": None}, ["shop-toy"]),
            (None, ["shop-toy"]),
        ],
    )
    def test_only_healthy_is_healthy(self, state: dict[str, Any] | None, unhealthy: list[str]) -> None:
        results: list[dict[str, Any]] = [{"container": {"Name": "/shop-toy", "State": state}}, {"changed": True}]
        assert container.unhealthy_containers(results) == unhealthy

    def test_belonging_to_a_stack(self) -> None:
        listing: list[dict[str, Any]] = [
            {"Names": ["/shop-a"], "Labels": {"pressdock.stack": "shop"}},
            {"Name": "shop-b", "Labels": {"pressdock.stack": "shop"}},
            {"Names": ["/shop-like"], "Labels": {"pressdock.stack": "shop2"}},
            {"Names": ["/other"], "Labels": None},
        ]
        assert container.belonging_to(listing, "shop") == ["shop-a", "shop-b"]


def test_running_containers() -> None:
    """A check run must not ask those that are missing, stopped or paused."""
    results: list[dict[str, Any]] = [
        {"item": {"name": "runs"}, "container": {"State": {"Running": True, "Paused": False}}},
        {"item": {"name": "paused"}, "container": {"State": {"Running": True, "Paused": True}}},
        {"item": {"name": "stopped"}, "container": {"State": {"Running": False, "Paused": False}}},
        {"item": {"name": "missing"}, "container": {}},
        {"item": {"name": "skipped"}},
    ]
    assert container.running_containers(results) == ["runs"]


def test_created_containers() -> None:
    results: list[dict[str, Any]] = [
        {"item": {"name": "replaced"}, "actions": [{"removed": "x"}, {"created": "Created container"}]},
        {"item": {"name": "updated"}, "actions": [{"updated": "x"}]},
        {"item": {"name": "settled"}, "actions": []},
        {"item": {"name": "skipped"}},
    ]
    assert container.created_containers(results) == ["replaced"]


def test_kept_volumes_are_the_stacks_own_that_nothing_declares() -> None:
    def volume(name: str, stack: str = "shop", device: str = "/srv/x") -> dict[str, Any]:
        return {"Name": name, "Labels": {"pressdock.stack": stack}, "Options": {"device": device}}

    listing = [
        volume("shop-site-b", device="/srv/shop/volumes/sites/b/wp-content"),
        volume("shop-site-a"),
        volume("shop-2-site-c", stack="shop-2"),
        {"Name": "shop-by-hand", "Labels": None, "Options": None},
    ]
    assert container.kept_volumes(listing, ["site-a"], "shop") == {"site-b": "/srv/shop/volumes/sites/b/wp-content"}


class TestOverlap:
    toy: dict[str, Any] = {"name": "toy", "networks": ["web", "database"], "overlap": "web"}
    plain: dict[str, Any] = {"name": "plain", "networks": ["web"]}

    def test_is_addressed_on_its_network(self) -> None:
        assert container.container_handover(self.toy, "shop") == {
            "name": "shop-toy",
            "address": "shop-toy.shop-web",
            "overlaps": True,
        }

    def test_any_other_is_set_aside_under_a_name_that_means_nothing(self) -> None:
        assert container.container_handover(self.plain, "shop") == {
            "name": "shop-plain",
            "address": "shop-plain.former",
            "overlaps": False,
        }

    @pytest.mark.parametrize(
        ("states", "replaceable", "stays"),
        [
            ({"shop-toy": "running", "shop-plain": "running"}, ["toy", "plain"], {}),
            # To one that does not run there is no way back.
            ({"shop-toy": "exited", "shop-plain": "exited"}, [], {}),
            ({}, [], {}),
            ({"shop-plain.former": "running"}, ["plain"], {"plain": "shop-plain.former"}),
            ({"shop-plain.former": "running", "shop-plain": "created"}, ["plain"], {"plain": "shop-plain.former"}),
            ({"shop-plain.former": "exited", "shop-plain": "created"}, ["plain"], {"plain": "shop-plain.former"}),
            ({"shop-plain.former": "exited", "shop-plain": "running"}, ["plain"], {"plain": "shop-plain"}),
            ({"shop-toy.shop-web": "running"}, ["toy"], {"toy": "shop-toy.shop-web"}),
            ({"shop-toy.shop-web": "running", "shop-toy": "running"}, ["toy"], {"toy": "shop-toy.shop-web"}),
            # The successor is what there is.
            ({"shop-toy.shop-web": "exited", "shop-toy": "running"}, ["toy"], {"toy": "shop-toy"}),
            ({"shop-toy.shop-web": "exited", "shop-toy": "created"}, ["toy"], {"toy": "shop-toy.shop-web"}),
            ({"shop-toy.0123456789ab": "running", "shop-toy": "running"}, ["toy"], {}),
        ],
    )
    def test_what_runs_decides(self, states: dict[str, str], replaceable: list[str], stays: dict[str, str]) -> None:
        listing = [{"Names": [f"/{name}"], "State": state} for name, state in states.items()]
        declared = [self.toy, self.plain]
        assert [one["name"] for one in container.replaceable_containers(declared, listing, "shop")] == replaceable
        assert container.interrupted_handovers(declared, listing, "shop") == stays

    @pytest.mark.parametrize(("name", "aside"), [("toy", "shop-toy.shop-web"), ("plain", "shop-plain.former")])
    def test_is_not_settled_in_the_middle_of_a_handover(self, name: str, aside: str) -> None:
        engine: dict[str, Any] = {
            "found": {f"shop-{name}": {"fingerprint": "f", "healthy": True}},
            "records": {f"shop-{name}": container.container_record("d", "f")},
        }
        declared = [{**getattr(self, name), "declared": "d"}]
        assert container.is_settled(declared, "shop", engine)
        engine["found"][aside] = {"fingerprint": "g", "healthy": True}
        assert not container.is_settled(declared, "shop", engine)

    def test_what_was_started_since_is_known_as_it_is_now(self) -> None:
        results: list[dict[str, Any]] = [
            {"item": {"name": "plain"}, "container": {"Id": "1", "State": {"Running": False}}, "actions": ["a"]},
            {"item": {"name": "toy"}, "container": {"Id": "2", "State": {"Running": True}}},
            {"item": {"name": "none"}},
        ]
        now = {"Id": "1", "State": {"Running": True}}
        found = container.started_containers(results, {"shop-plain": now})
        assert found == [{**results[0], "container": now}, *results[1:]]
        assert container.started_containers(results, {}) == results

    @pytest.mark.parametrize("fields", [{"overlap": "elsewhere"}, {"ports": ["127.0.0.1:80:80/tcp"]}])
    def test_what_cannot_run_twice_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(AnsibleFilterError, match="container toy: overlap"):
            container.declared_containers([{**self.toy, **fields}], {"reference": "r", "digest": "d"}, [])


def test_contexts_are_trees_of_their_own() -> None:
    contexts = {"toy": {"Dockerfile": "FROM scratch"}, "boat": {"Dockerfile": "FROM toy"}}
    assert container.context_trees(contexts, ["boat"], "/d") == [
        {"path": "/d/build/boat", "files": {"Dockerfile": "FROM toy"}}
    ]
