"""The engine's configuration: what is ours comes and goes, what is others' stays, and a wrong file is undone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.load import load

module = load("roles/docker/library/engine_configuration.py")

OURS = "pressdock.engine=0123456789abcdef"
NEXT = "pressdock.engine=fedcba9876543210"
DECLARED = {"icc": False, "log-opts": {"max-size": "10m"}, "labels": ["berth=7"]}

Files = Callable[[], Any]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return how the files are read anew, as every run does."""
    return lambda: module.Configuration(tmp_path / "docker" / "daemon.json", tmp_path / "docker" / "pressdock.json")


def place(files: Files, declared: dict[str, Any], label: str = OURS, running: list[str] | None = None) -> Any:
    """Place what is declared, as the module does; return the file's options."""
    configuration = files()
    configuration.place(configuration.wanted(declared, label), declared, running or [])
    return files().options


def write(files: Files, options: dict[str, Any] | str) -> None:
    """Let somebody write the file."""
    path = files().file
    path.parent.mkdir(exist_ok=True)
    path.write_text(options if isinstance(options, str) else json.dumps(options))


def test_others_keys_stay_and_ours_come(files: Files) -> None:
    write(files, {"debug": True, "labels": ["owner=somebody"], "log-opts": {"max-file": "2"}})
    assert place(files, DECLARED) == {
        "debug": True,
        "icc": False,
        "labels": ["owner=somebody", "berth=7", OURS],
        "log-opts": {"max-file": "2", "max-size": "10m"},
    }
    assert files().file.stat().st_mode & 0o777 == 0o644


def test_what_is_no_longer_declared_leaves(files: Files) -> None:
    write(files, {"debug": True, "labels": ["owner=somebody"], "log-opts": {"max-file": "2"}})
    place(files, DECLARED)
    files().settle(DECLARED)
    # Somebody has changed one of ours: it is ours all the same.
    write(files, {**files().options, "icc": True})
    assert place(files, {"mtu": 1400}, NEXT) == {
        "debug": True,
        "mtu": 1400,
        "labels": ["owner=somebody", NEXT],
        "log-opts": {"max-file": "2"},
    }


def test_what_leaves_as_a_whole_leaves_nothing(files: Files) -> None:
    assert place(files, DECLARED)["log-opts"] == {"max-size": "10m"}
    assert place(files, {}, NEXT) == {"labels": [NEXT]}


def test_what_a_killed_run_has_placed_leaves(files: Files) -> None:
    """It was not settled, and it is ours."""
    place(files, DECLARED)
    files().settle(DECLARED)
    place(files, {**DECLARED, "nonsense": True}, NEXT)
    assert place(files, DECLARED) == {**DECLARED, "labels": ["berth=7", OURS]}


def test_what_a_run_has_left_that_was_killed_before_it_placed_the_file_leaves(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(files, DECLARED)
    files().settle(DECLARED)
    with monkeypatch.context() as killed:
        killed.setattr(module.Configuration, "_write", only_the_record(module.Configuration._write))
        place(files, {"mtu": 1400}, NEXT)
    assert files().options["icc"] is False, "control"
    assert place(files, {"mtu": 1400}, NEXT) == {"mtu": 1400, "labels": [NEXT]}


def only_the_record(write: Callable[[Path, str], None]) -> Any:
    """Return what writes no other file."""
    return staticmethod(lambda path, text: write(path, text) if path.name == "pressdock.json" else None)


def test_way_back_is_to_the_last_file_that_worked(files: Files) -> None:
    """Also where a run was killed after it had placed another one, and for those keys that were ours then."""
    write(files, {"debug": True})
    place(files, DECLARED)
    files().settle(DECLARED)
    settled = files().text
    place(files, {"debug": False}, NEXT)
    place(files, {"debug": False, "mtu": 5}, NEXT)
    assert files().back()
    assert files().text == settled
    assert not files().back()
    # `debug` was never ours.
    assert place(files, {}, NEXT) == {"debug": True, "labels": [NEXT]}


def test_way_back_is_to_the_file_that_the_engine_has_answered_with(files: Files) -> None:
    """A run was killed between that and its note of it."""
    place(files, DECLARED)
    files().settle(DECLARED)
    place(files, {"mtu": 1400}, NEXT)
    worked = files().text
    place(files, {"mtu": 5}, OURS, running=[NEXT])
    assert files().back()
    assert files().text == worked


def test_without_another_file_there_is_no_way_back(files: Files) -> None:
    for _ in range(2):
        place(files, DECLARED)
        text = files().text
        assert not files().back()
        files().settle(DECLARED)
    assert files().text == text


def test_broken_file_of_ours_is_written_anew(files: Files) -> None:
    place(files, DECLARED)
    files().settle(DECLARED)
    write(files, '{"icc": fal')
    assert files().ours
    assert place(files, {"mtu": 1400}, NEXT) == {"mtu": 1400, "labels": [NEXT]}


def test_broken_file_of_somebody_else_is_refused(files: Files) -> None:
    for text in ('{"icc": fal', "[]"):
        write(files, text)
        assert not files().ours
        with pytest.raises(module.RefusedError, match=r"daemon\.json is no JSON object"):
            files().wanted(DECLARED, OURS)


def test_file_tells_whose_it_is(files: Files) -> None:
    assert not files().ours
    write(files, {"labels": ["owner=somebody"]})
    assert not files().ours
    place(files, DECLARED)
    assert files().ours


def test_labels_that_are_no_list_are_refused(files: Files) -> None:
    with pytest.raises(module.RefusedError, match=r"docker_daemon_options\.labels: must be a list"):
        files().wanted({"labels": "berth=7"}, OURS)


PROGRAM = """#!/usr/bin/env python3
import json, os, sys
arguments = dict(zip(sys.argv, sys.argv[1:]))
options = json.load(open(arguments["--config-file"]))
if NEW and "--validate" not in sys.argv:
    sys.exit("It would start!")
if not NEW and "--validate" in sys.argv:
    sys.exit("unknown flag: --validate\\nSee 'dockerd --help'.")
unknown = [name for name in options if name not in ("icc", "labels", "log-opts", "mtu", "pidfile")]
if unknown:
    sys.exit(f"unable to configure the Docker daemon with file {arguments['--config-file']}: the following directives"
             f" don't match any configuration option: {', '.join(unknown)}")
if "pidfile" in options and "--pidfile" in sys.argv:
    sys.exit("the following directives are specified both as a flag and in the configuration file: pidfile")
print('time="2026-11-30" level=info msg="Starting up"')
if not NEW:
    os.kill(int(open(arguments["--pidfile"]).read()), 0)
    sys.exit("failed to start daemon: pid file found, ensure docker is not running or delete it")
"""


@pytest.fixture(params=[True, False], ids=["23.0 and newer", "older"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return an engine's program, which reads its file before anything else."""
    path = tmp_path / "dockerd"
    path.write_text(PROGRAM.replace("NEW", str(request.param)))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("check", [False, True])
def test_program_judges_the_file(program: str, request: pytest.FixtureRequest, *, check: bool) -> None:
    silent = check and "older" in request.node.name
    assert module.judge(program, [], {"icc": True, "pidfile": "/run/other.pid"}, check=check) == ""
    reason = module.judge(program, [], {"icc": True, "nonsense": 1}, check=check)
    expected = "file /etc/docker/daemon.json: the following directives don't match any configuration option: nonsense"
    assert reason.endswith(expected) if not silent else reason == ""


def test_key_that_is_declared_and_unknown_is_refused(program: str) -> None:
    options = {"icc": True, "nonsense": 1, "mtu": 1400}
    with pytest.raises(module.RefusedError, match=r"nothing was changed: .* option: nonsense") as refusal:
        module.judged(options, {"nonsense": 1}, program, [], check=False)
    assert str(refusal.value).startswith("docker_daemon_options: ")
    assert str(refusal.value).endswith("Others have put into the file: icc, mtu.")


def test_key_that_nobody_declares_and_no_engine_knows_is_left_out(program: str) -> None:
    """One of ours from before there was a record of them: the engine does not start with it."""
    options = {"icc": True, "nonsense": 1}
    assert module.judged(options, {"icc": True}, program, [], check=False) == ["nonsense"]
    assert options == {"icc": True}


def test_program_that_does_not_end_is_no_approval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    path = tmp_path / "dockerd"
    path.write_text("#!/bin/sh\nexec sleep 20\n")
    path.chmod(0o755)
    assert module.judge(str(path), [], {}, check=False) == "It has not ended within 0.2 s."


def test_record_is_roots_alone_to_write(files: Files) -> None:
    place(files, DECLARED)
    found = files().record_file.stat()
    assert (found.st_uid, found.st_mode & 0o777) == (os.geteuid(), 0o644)
