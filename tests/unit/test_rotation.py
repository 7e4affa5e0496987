"""What a rotation does next, which versions count meanwhile, what proves its end, and its file."""

from __future__ import annotations

import base64
import errno
import http.server
import json
import os
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import rotation
from filter_plugins.secrets import derive_secret
from tests.support.load import load

KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
PATH = "/k/rotation.json"
SITES: dict[str, Any] = {
    "blog": {
        "domain": "blog.example.org",
        "administrator": {"login": "captain"},
        "users": {
            "mate": {"password": "a given one, long"},
            "cook": {},
            "boy": {"password_policy": "initial", "password": "the first one, long"},
        },
    },
    "shop": {"domain": "shop.example.org", "administrator": {"login": "purser"}, "ftp_password": "another given one"},
}
TOOLS = {
    "adminer": {"login": "keeper", "path": "/adminer/", "password": "x"},
    "cadvisor": {"login": "keeper", "path": "/c/", "domain": "tools.example.org", "password": "x"},
}


@pytest.fixture
def secrets() -> dict[str, Any]:
    """List the secrets of a stack of two sites."""
    return rotation.rotatable_secrets(
        SITES,
        {"host": "mariadb", "prefix": "wp_"},
        ["blog", "health-check"],
        ["blog", "shop"],
        TOOLS,
        {"adminer_password": "", "cadvisor_password": "given by hand"},
        8443,
    )


def versions(entries: dict[str, Any] | None = None, **declared: dict[str, Any]) -> dict[str, Any]:
    """Return which versions count."""
    text = json.dumps(entries) if entries is not None else ""
    return rotation.secret_versions(text, PATH, declared.get("sites", {}), declared.get("shared", {}))


# --- The list ---------------------------------------------------------------------------------------------------------


def test_secrets_go_by_the_names_that_they_are_derived_by(secrets: dict[str, Any]) -> None:
    assert list(secrets) == [
        "database/blog", "database/shop", "redis/blog", "redis/health-check", "ftp/blog", "ftp/shop",
        "wordpress/blog/captain", "wordpress/blog/mate", "wordpress/blog/cook", "wordpress/blog/boy",
        "wordpress/blog/salts",
        "wordpress/shop/purser", "wordpress/shop/salts", "tool/adminer", "tool/cadvisor",
    ]  # fmt: skip
    assert [name for name, fields in secrets.items() if fields["overlap"]] == [
        "database/blog", "database/shop", "redis/blog",
    ]  # fmt: skip
    assert {name: fields["given"] for name, fields in secrets.items() if fields["given"]} == {
        "ftp/shop": "wordpress_sites.shop.ftp_password",
        "wordpress/blog/mate": "wordpress_sites.blog.users.mate.password",
        "wordpress/blog/boy": "wordpress_sites.blog.users.boy.password_policy",
        "tool/cadvisor": "cadvisor_password",
    }
    assert secrets["tool/adminer"]["url"] == "https://blog.example.org:8443/adminer/"


# --- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "used", "accepted"), [("introduce", 2, 3), ("switch", 3, 2), ("retire", 3, None), ("done", 3, None)]
)
def test_steps_decide_what_is_used_and_what_is_accepted(step: str, used: int, accepted: int | None) -> None:
    """Also where the declared version is the new one already."""
    for declared in (2, 3):
        found = versions({"database/blog": {"version": 3, "step": step}}, sites={"database/blog": declared})
        assert found["used"]["database/blog"] == used
        assert found["accepted"].get("database/blog") == accepted


def test_higher_of_the_two_versions_counts() -> None:
    entries = {"tool/adminer": {"version": 3, "step": "done"}, "wordpress/blog/cook": {"version": 2, "step": "done"}}
    found = versions(entries, sites={"blog/cook": 5, "ftp/blog": 4}, shared={"tool/adminer": 2})
    assert found["used"]["tool/adminer"] == 3
    assert found["used"]["wordpress/blog/cook"] == 5
    assert found["used"]["ftp/blog"] == 4


def test_higher_declared_version_ends_a_rotation() -> None:
    found = versions({"database/blog": {"version": 2, "step": "introduce"}}, sites={"database/blog": 3})
    assert found["used"]["database/blog"] == 3
    assert found["accepted"] == {}


def test_without_the_file_the_declared_versions_count() -> None:
    assert versions(sites={"redis/blog": 2})["used"]["redis/blog"] == 2
    assert versions()["used"] == {}


@pytest.mark.parametrize("version", [0, -1, "2", True, None, 1.5])
def test_declared_version_that_is_none_is_named(version: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"wordpress_secret_versions: the version of 'ftp/blog' must be"):
        versions(sites={"ftp/blog": version})


def test_accepted_secret_is_the_other_version_s() -> None:
    found = versions({"database/blog": {"version": 2, "step": "switch"}})
    assert rotation.accepted_secrets(KEY, ["blog", "shop"], "database", found["accepted"]) == {
        "blog": derive_secret(KEY, "database/blog", 1)
    }


# --- The plan ---------------------------------------------------------------------------------------------------------


def plan(secrets: dict[str, Any], name: str, entries: dict[str, Any] | None = None, **declared: Any) -> dict[str, Any]:
    """Plan a rotation."""
    return rotation.rotation_plan(secrets, versions(entries, **declared), PATH, name)


def test_three_steps_with_overlap_and_one_without(secrets: dict[str, Any]) -> None:
    found = plan(secrets, "database/blog")
    assert found["secrets"] == {"database/blog": {"from": 1, "to": 2, "step": "introduce"}}
    assert found["steps"] == ["introduce", "switch", "retire"]
    found = plan(secrets, "ftp/blog", sites={"ftp/blog": 4})
    assert found["secrets"] == {"ftp/blog": {"from": 4, "to": 5, "step": "switch"}}
    assert found["steps"] == ["switch"]


def test_all_leaves_given_ones_out(secrets: dict[str, Any]) -> None:
    found = plan(secrets, "all")
    assert set(found["secrets"]) == {name for name, fields in secrets.items() if not fields["given"]}
    assert found["steps"] == ["introduce", "switch", "retire"]


@pytest.mark.parametrize(
    ("name", "step", "steps"),
    [
        ("database/blog", "introduce", ["introduce", "switch", "retire"]),
        ("database/blog", "switch", ["switch", "retire"]),
        ("database/blog", "retire", ["retire"]),
        ("ftp/blog", "switch", ["switch"]),
    ],
)
def test_unfinished_rotation_is_resumed_and_not_begun_again(
    secrets: dict[str, Any], name: str, step: str, steps: list[str]
) -> None:
    """The step that was recorded is taken again, for its converge may have been cut off."""
    entries = {name: {"version": 3, "step": step}}
    found = plan(secrets, name, entries)
    assert found["secrets"] == {name: {"from": 2, "to": 3, "step": step}}
    assert found["steps"] == steps
    # Whatever else is asked for, it comes along.
    together = plan(secrets, "wordpress/blog/cook", entries)["secrets"]
    assert together == {**found["secrets"], "wordpress/blog/cook": {"from": 1, "to": 2, "step": "switch"}}


def test_finished_or_overtaken_rotation_is_begun_anew(secrets: dict[str, Any]) -> None:
    entries = {"database/blog": {"version": 2, "step": "done"}, "redis/blog": {"version": 2, "step": "switch"}}
    found = plan(secrets, "database/blog", entries, sites={"redis/blog": 3})
    assert found["secrets"] == {"database/blog": {"from": 2, "to": 3, "step": "introduce"}}
    assert plan(secrets, "redis/blog", entries, sites={"redis/blog": 3})["secrets"]["redis/blog"]["from"] == 3


def test_refusals_name_what_is_wrong(secrets: dict[str, Any]) -> None:
    assert "There is no secret ftp/blgo" in plan(secrets, "ftp/blgo")["problem"]
    assert "ftp/blog: version 1" in plan(secrets, "ftp/blgo")["problem"]
    assert "wordpress_sites.shop.ftp_password gives it" in plan(secrets, "ftp/shop")["problem"]
    assert "stack_rotation_file is empty" in rotation.rotation_plan(secrets, versions(), "", "all")["problem"]
    assert rotation.rotation_plan(secrets, versions(), "", "")["problem"] == ""


def test_list_tells_versions_and_what_is_unfinished(secrets: dict[str, Any]) -> None:
    found = plan(secrets, "", {"database/blog": {"version": 2, "step": "switch"}})
    assert found["secrets"] == {}
    assert found["steps"] == []
    assert "database/blog: version 2, unfinished: switch" in found["lines"]
    assert "tool/cadvisor: given by cadvisor_password" in found["lines"]


def test_steps_record_those_whose_turn_has_come(secrets: dict[str, Any]) -> None:
    """A whole rotation of all, with one that was broken off at its last step."""
    entries: dict[str, Any] = {"redis/blog": {"version": 2, "step": "retire"}}
    planned = plan(secrets, "all", entries)["secrets"]
    states = []
    for step in rotation.STEPS:
        entries = rotation.recorded(entries, rotation.rotation_step(planned, step))
        states.append({name: entry["step"] for name, entry in entries.items()})
    assert states[0] == {"redis/blog": "retire", "database/blog": "introduce", "database/shop": "introduce"}
    assert states[1] == {name: "retire" if name == "redis/blog" else "switch" for name in planned}
    assert states[2] == dict.fromkeys(planned, "retire")
    assert states[3] == dict.fromkeys(planned, "done")
    assert rotation.rotation_report(planned, "introduce") == [
        "database/blog: version 1 -> 2: accepted as well",
        "database/shop: version 1 -> 2: accepted as well",
    ]


# --- The file ---------------------------------------------------------------------------------------------------------


def test_nothing_goes_back() -> None:
    entries = {"ftp/blog": {"version": 3, "step": "retire"}}
    for version, step in ((2, "done"), (3, "switch")):
        assert rotation.recorded(entries, {"ftp/blog": {"version": version, "step": step}}) == entries
    assert rotation.recorded(entries, {"ftp/blog": {"version": 4, "step": "introduce"}})["ftp/blog"]["version"] == 4


def test_file_reads_as_it_was_written() -> None:
    entries = {"ftp/blog": {"version": 3, "step": "retire"}}
    assert rotation.rotation_entries(rotation.rotation_text(entries), PATH) == entries


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("{", "is not the JSON"),
        ("[]", "is not the JSON"),
        ('{"a": 2}', "a: must have a version and a step"),
        ('{"a": {"version": 2}}', "a: must have a version and a step"),
        ('{"a": {"version": 1, "step": "done"}}', "a: the version must be a whole number from 2"),
        ('{"a": {"version": "2", "step": "done"}}', "a: the version must be"),
        ('{"a": {"version": 2, "step": "half"}}', "a: the step must be one of introduce, switch"),
    ],
)
def test_file_that_nobody_wrote_is_refused(text: str, rule: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        rotation.rotation_entries(text, PATH)
    assert f"stack_rotation_file: {PATH}: " in str(caught.value)
    assert rule in str(caught.value)


def test_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its owner reads it; when it cannot be written, the old one stays, with nothing beside it."""
    action = load("roles/rotation/action_plugins/rotation_record.py")
    file = tmp_path / "rotation.json"

    def record(step: str, check: bool = False) -> dict[str, Any]:
        arguments = {"path": str(file), "entries": {"redis/blog": {"version": 2, "step": step}}}
        task = SimpleNamespace(args=arguments, action="rotation_record", async_val=0, check_mode=check)
        return dict(action.ActionModule(task, *[MagicMock()] * 5).run())

    assert record("introduce", check=True) == {"changed": True}
    assert not file.exists()
    assert record("introduce") == {"changed": True}
    written = file.stat()
    assert record("introduce") == {"changed": False}
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns), "left alone"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert record("switch") == {"failed": True, "msg": f"stack_rotation_file: {file}: No space left on device"}
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_attempts_are_what_the_module_takes() -> None:
    attempt = {"url": "https://x/", "login": "keeper", "password": "right"}
    assert rotation.rotation_attempts([{**attempt, "kind": "web", "expected": True}]) == [attempt]


# --- The proof --------------------------------------------------------------------------------------------------------


@pytest.fixture
def proofs(secrets: dict[str, Any]) -> dict[str, Any]:
    """Return what proves a rotation of one secret of each kind."""
    names = ("database/blog", "redis/blog", "ftp/blog", "wordpress/blog/cook", "wordpress/blog/salts", "tool/adminer")
    return rotation.rotation_proofs({name: {"from": 1, "to": 2} for name in names}, secrets, KEY)


def test_each_old_value_must_be_refused_and_each_new_one_accepted(proofs: dict[str, Any]) -> None:
    assert {place: len(attempts) for place, attempts in proofs.items()} == {
        "wordpress-blog": 6, "redis": 2, "ftp": 2, "web": 2,
    }  # fmt: skip
    for attempts in proofs.values():
        assert [(one["version"], one["wanted"]) for one in attempts] == [(1, "refused"), (2, "accepted")] * (
            len(attempts) // 2
        )
    database = proofs["wordpress-blog"][1]
    assert (database["login"], database["password"]) == ("wp_blog", derive_secret(KEY, "database/blog", 2))
    salt = proofs["wordpress-blog"][4]["password"]
    assert salt.startswith(derive_secret(KEY, "wordpress/blog/LOGGED_IN_KEY", 1, 64))
    assert len(salt) == 128


def test_secrets_go_through_the_input_alone(proofs: dict[str, Any]) -> None:
    programs = {"prove.php": "<?php '@attempts@'", "prove.pl": "__END__\n"}
    questions = {one["container"]: one for one in rotation.rotation_questions(proofs, programs)}
    assert set(questions) == {"wordpress-blog", "redis", "ftp"}
    for place, question in questions.items():
        for attempt in proofs[place]:
            assert attempt["password"] in question["stdin"]
            assert attempt["password"] not in " ".join(question["argv"])
    assert "@attempts@" not in questions["wordpress-blog"]["stdin"]


def test_what_ends_otherwise_is_named_without_the_secret(proofs: dict[str, Any]) -> None:
    lines = ["refused", "accepted"]
    answers = {
        "wordpress-blog": {"stdout": "a plugin's word\n" + "".join(f"\nproof: {one}\n" for one in lines * 3)},
        "redis": {"stdout": 'error:"WRONGPASS invalid username-password pair"\n"OK"\n'},
        "ftp": {"stdout": "proof: refused\nproof: accepted\n"},
    }
    assert rotation.rotation_failures(proofs, answers, lines) == []
    # The old ones still work; one answer is missing.
    answers["redis"] = {"stdout": '"OK"\n"OK"\n'}
    answers["ftp"] = {"stdout": "proof: accepted\n"}
    failures = rotation.rotation_failures(proofs, answers, ["accepted", "accepted"])
    assert failures == [
        "redis/blog: version 1 must be refused by redis: accepted",
        "ftp/blog: version 1 must be refused by ftp: accepted",
        "ftp/blog: version 2 must be accepted by ftp: no answer",
        "tool/adminer: version 1 must be refused by web: accepted",
    ]
    for attempts in proofs.values():
        assert not any(one["password"] in line for one in attempts for line in failures)


class Door(http.server.BaseHTTPRequestHandler):
    """Lets one password in, after it has complained once of too many requests."""

    complaints = 1
    seen: list[str]

    def do_GET(self) -> None:
        """Answer."""
        type(self).seen.append(self.headers["Host"] + self.path)
        if type(self).complaints:
            type(self).complaints -= 1
            self.send_error(429)
            return
        right = "Basic " + base64.b64encode(b"keeper:right").decode()
        self.send_error(502 if self.headers["Authorization"] == right else 401)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[int]:
    """Run a web server with TLS; returns its port."""
    pair = tmp_path / "pair.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-subj", "/CN=x", "-days", "2", "-keyout", str(pair), "-out", str(tmp_path / "certificate.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", pair)
    Door.seen, Door.complaints = [], 1
    server = http.server.HTTPServer(("127.0.0.1", 0), Door)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_the_module_answers_for_each_attempt(door: int, run_module: Callable[..., dict[str, Any]]) -> None:
    module = load("roles/rotation/library/http_logins.py")
    Door.complaints = 0
    url = f"https://tools.example.test:{door}/adminer/"
    attempts = [{"url": url, "login": "keeper", "password": password} for password in ("wrong-one", "right")]
    found = run_module(module, check=True, address="127.0.0.1", port=door, attempts=attempts)
    assert (found["changed"], found["outcomes"]) == (False, ["refused", "accepted"])


def test_web_server_is_asked_under_the_name_that_it_serves(door: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("roles/rotation/library/http_logins.py")
    pauses: list[float] = []
    monkeypatch.setattr(module.time, "sleep", pauses.append)

    def outcome(password: str, port: int = door) -> str:
        attempt = {"url": f"https://tools.example.test:{door}/adminer/", "login": "keeper", "password": password}
        return str(module.outcome("127.0.0.1", port, attempt, 10))

    assert outcome("wrong") == "refused"
    assert pauses == [module.PAUSE]
    # What stands behind the door does not answer: the password was right all the same.
    assert outcome("right") == "accepted"
    assert Door.seen == [f"tools.example.test:{door}/adminer/"] * 3
    Door.complaints = 10**6
    attempt = {"url": "https://t/", "login": "keeper", "password": "right"}
    assert module.outcome("127.0.0.1", door, attempt, 0) == "too many requests"
    assert outcome("right", 1).startswith("no answer")


def test_a_password_that_is_the_user_s_own_is_not_rotated(secrets: dict[str, Any]) -> None:
    """A new version would be refused for ever, and prove nothing."""
    found = rotation.rotation_plan(secrets, versions(), PATH, "wordpress/blog/boy")
    assert found["problem"].startswith("wordpress/blog/boy is the user's own after the first login")
    place = "wordpress_sites.blog.users.boy.password_policy"
    assert f"wordpress/blog/boy: the user's own ({place})" in found["lines"]
    assert "wordpress/blog/boy" not in rotation.rotation_plan(secrets, versions(), PATH, "all")["secrets"]
