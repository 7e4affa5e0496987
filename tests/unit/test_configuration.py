"""What a service loads while it runs: what differs, what is judged, what the process has to answer."""

from __future__ import annotations

import re
from typing import Any

from filter_plugins import configuration
from tests.support.load import load

host_files = load("roles/container/library/host_files.py")
KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
USERS = {"nginx": 612}
PATH = "/d/configuration/web"


def toy(**fields: Any) -> dict[str, Any]:
    """Return a container with a configuration."""
    return {
        "name": "web",
        "user": "nginx",
        "secrets": {"users": "canary-7731"},
        "reloads_secrets": True,
        "configuration": {
            "directory": "/etc/web",
            "templates": ["web.conf.j2"],
            "test": ["web", "-t"],
            "signal": "SIGHUP",
            "stamp": {"file": "stamp.conf", "text": 'return 200 "STAMP";'},
            "reads": ["certificates-1"],
        },
        **fields,
    }


def planned(text: str = "listen 1;\n", **fields: Any) -> dict[str, Any]:
    """Return what the actor returns of it."""
    return {"web": configuration.planned_configuration("proxy", toy(**fields), {"web.conf": text}, KEY)}


def in_place(plan: dict[str, Any], state: str = "s1", secrets: str = "p1", *changes: str) -> dict[str, Any]:
    """Return it as it was found to lie there."""
    looked = {"differences": {PATH: list(changes)}, "states": {PATH: state, "/d/secrets/web": secrets}}
    return configuration.configurations_in_place(plan, looked, "/d", KEY)


def stamp(plan: dict[str, Any], state: str = "s1", secrets: str = "p1") -> str:
    """Return what a process has to answer."""
    return str(in_place(plan, state, secrets)["web"]["stamp_value"])


def answer(text: str, status: int = 0) -> dict[str, Any]:
    """Return what the container has said."""
    return {"web": {"rc": status, "stdout": f"{text}\n", "stderr": ""}}


class TestStamp:
    def test_changes_with_all_that_is_loaded(self) -> None:
        """Text, certificates, secrets, and when each was written; without saying anything about a secret."""
        changed = toy()["configuration"] | {"reads": ["certificates-2"]}
        stamps = [
            stamp(planned()),
            stamp(planned("listen 2;\n")),
            stamp(planned(configuration=changed)),
            stamp(planned(secrets={"users": "other"})),
            stamp(planned(), "s2"),
            stamp(planned(), "s1", "p2"),
        ]
        assert len(set(stamps)) == len(stamps)
        assert "canary-7731" not in repr(in_place(planned()))
        assert stamp(planned()) == stamps[0]

    def test_is_not_about_secrets_that_replace_the_container(self) -> None:
        one, other = (planned(reloads_secrets=False, secrets={"users": text}) for text in ("canary-7731", "other"))
        assert stamp(one, "s1", "p1") == stamp(other, "s1", "p2") != ""

    def test_is_unknown_before_something_is_placed(self) -> None:
        assert stamp(planned(), "") == ""
        assert stamp(planned(), "s1", "") == ""

    def test_is_known_after_it_was_placed(self) -> None:
        """The module tells of secrets only once, before; what differed then is still to be reported."""
        before = in_place(planned(), "", "p1", f"{PATH}/web.conf: content")
        after = configuration.configurations_in_place(before, {"states": {PATH: "s1"}}, "/d", KEY)
        assert after["web"]["stamp_value"] == stamp(planned())
        assert after["web"]["changes"] == [f"{PATH}/web.conf: content"]

    def test_is_about_contents_as_they_were_brought(self) -> None:
        """One that was brought again is loaded again; in a check run, nobody knows yet."""
        place = "/d/volumes/files/0123"

        def found(state: str, *changes: str) -> dict[str, Any]:
            plan = {"web": configuration.planned_configuration("proxy", toy(), {"web.conf": "x"}, KEY, [place])}
            states = {PATH: "s1", "/d/secrets/web": "p1", place: state}
            looked = {"differences": {}, "states": states, "changes": list(changes)}
            return configuration.configurations_in_place(plan, looked, "/d", KEY)

        first = found("c1")
        assert first["web"]["stamp_value"] == found("c1")["web"]["stamp_value"] != ""
        assert found("c2")["web"]["stamp_value"] not in {"", first["web"]["stamp_value"]}
        assert found("")["web"]["stamp_value"] == ""
        later = configuration.configurations_in_place(first, {"states": {PATH: "s1"}}, "/d", KEY)
        assert later["web"]["stamp_value"] == first["web"]["stamp_value"]
        assert configuration.load_command(first["web"], "shop", "/d")[1] == "exec"
        # A mount leads to the directory that it was made with.
        made = found("c1", "/d/volumes/files: created")
        again = configuration.configurations_in_place(made, {"states": {PATH: "s1"}}, "/d", KEY)
        assert configuration.load_command(again["web"], "shop", "/d")[1] == "restart"

    def test_is_written_where_the_service_reads_it(self) -> None:
        placed = in_place(planned())
        (tree,) = configuration.stamped_trees(placed, "/d", USERS)
        assert (tree["path"], tree["owner"], tree["mode"], tree["file_mode"]) == (PATH, 612, "0500", "0400")
        assert tree["files"] == {
            "web.conf": "listen 1;\n",
            "stamp.conf": f'return 200 "{placed["web"]["stamp_value"]}";',
        }
        (judged,) = configuration.stamped_trees(in_place(planned(), ""), "/d", USERS, "judging")
        assert judged["path"] == "/d/judging/web"
        assert judged["files"]["stamp.conf"] == 'return 200 "unplaced";'


class TestLoaded:
    def test_only_what_answers_with_the_stamp(self) -> None:
        placed = in_place(planned())
        right = placed["web"]["stamp_value"]
        assert configuration.unloaded_configurations(placed, answer(right)) == []
        for other in (answer("0123"), answer(right, 1), answer(""), {}):
            assert configuration.unloaded_configurations(placed, other) == ["web"]

    def test_nothing_is_loaded_that_is_not_in_place(self) -> None:
        assert configuration.unloaded_configurations(in_place(planned(), ""), answer("")) == ["web"]

    def test_service_is_left_to_be_done_for_that_has_one_to_place_or_to_load(self) -> None:
        placed = in_place(planned())
        right = placed["web"]["stamp_value"]
        assert configuration.services_to_load(placed, answer(right)) == []
        assert configuration.services_to_load(placed, answer("0123")) == ["proxy"]
        differs = {"web": {**placed["web"], "changes": [f"{PATH}/web.conf: content"]}}
        assert configuration.services_to_load(differs, answer(right)) == ["proxy"]

    def test_is_asked_until_the_stamp_is_answered(self) -> None:
        placed = in_place(planned())
        right = placed["web"]["stamp_value"]
        questions = [{"container": "web", "argv": ["ask"], "again": "x"}, {"container": "other", "argv": []}]
        (question,) = configuration.stamp_questions(questions, placed, ["web"])
        assert question["argv"] == ["ask"]
        assert not re.search(question["again"], f"{right}\n")
        for other in ("", "probe: Connection refused\n", f"{right}0\n", f"0{right}\n", "unplaced\n"):
            assert re.search(question["again"], other), other

    def test_is_a_signal_unless_the_directory_is_another(self) -> None:
        edited = in_place(planned(), "", "p1", f"{PATH}/web.conf: created")
        assert configuration.load_command(edited["web"], "shop", "/d") == [
            "docker", "exec", "shop-web", "sh", "-c", "kill -s HUP 1"
        ]  # fmt: skip
        lost = in_place(planned(), "", "p1", f"{PATH}: created", f"{PATH}/web.conf: created")
        assert configuration.load_command(lost["web"], "shop", "/d") == ["docker", "restart", "shop-web"]


class TestJudging:
    def test_what_is_not_in_place_or_will_be_loaded_by_another_container(self) -> None:
        right, edited = in_place(planned()), in_place(planned(), "", "p1", "x")
        assert configuration.configurations_to_judge(right, ["proxy"], ["proxy"]) == {}
        assert list(configuration.configurations_to_judge(edited, ["proxy"], ["proxy"])) == ["web"]
        assert list(configuration.configurations_to_judge(right, ["proxy"], [])) == ["web"]
        assert configuration.configurations_to_judge(edited, ["other"], []) == {}

    def test_by_a_container_that_reaches_and_changes_nothing(self) -> None:
        sealed = {
            "name": "web",
            "user": "nginx",
            "secrets_digest": "reloaded",
            "configuration": "/etc/web",
            "environment": {"MOOD": "a b"},
            "volumes": [{"name": "tls", "path": "/run/tls", "read_only": True}, {"name": "data", "path": "/data"}],
            "tmpfs": {"/run": "size=1m"},
            "limits": {"memory": "9m", "cpus": 1.0, "pids": 7},
        }
        command = configuration.judge_command(
            planned()["web"], sealed, "shop/proxy:0123", "shop", "/d", "judging", USERS
        )
        assert command[:2] == ["docker", "run"]
        assert command[-2:] == ["shop/proxy:0123", "-t"]
        assert {"--rm", "--read-only", "--network=none", "--user=612:612", "--entrypoint=web"} <= set(command)
        assert {"--cap-drop=ALL", "--memory=9m", "--pids-limit=7", "--env=MOOD=a b"} <= set(command)
        assert [word for word in command if word.startswith("--volume=")] == [
            "--volume=shop-tls:/run/tls:ro",
            "--volume=shop-data:/data:ro",
            "--volume=/d/secrets/web:/run/secrets:ro",
            "--volume=/d/judging/web:/etc/web:ro",
        ]


def test_comparing_needs_no_texts() -> None:
    """And finds the same: digests are those of the module."""
    (texts,) = configuration.configuration_trees(planned(), "/d", USERS)
    (digests,) = configuration.configuration_trees(planned(), "/d", USERS, comparing=True)
    assert texts["files"] == {"web.conf": "listen 1;\n"}
    assert digests["digests"] == {"web.conf": host_files.Content.of("listen 1;\n").digest}
    assert texts["kept"] == digests["kept"] == ["stamp.conf"]


def test_each_service_has_its_own() -> None:
    assert configuration.configurations_of(planned(), "proxy") == planned()
    assert configuration.configurations_of(planned(), "other") == {}
