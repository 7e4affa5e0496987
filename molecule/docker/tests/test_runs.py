"""What each run of the role did, and what it left alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.runs import Run, Sequence, words

if TYPE_CHECKING:
    from tests.support.runs import Runs

    from .conftest import Engine

CONFIGURE = "Install | Configure the engine"
PACKAGES = "Install what is missing"
RESTART = "Start | Restart the engine with its configuration, now and at every boot"
SCENARIO = yaml.safe_load((Path(__file__).parents[1] / "group_vars" / "all.yml").read_text(encoding="utf-8"))
MANUAL = {"live-restore": False, "labels": ["owner=somebody"], "debug": True}


def tasks(run: Run) -> set[str]:
    """Name the tasks that changed something."""
    return {task for task, _ in run.changed_items}


def test_first_runs(sequence: Sequence) -> None:
    """On the bare machine: predicted (but for the start, of a service that is not there yet), done, left alone."""
    assert sequence.bare
    predicted, done, again = (tasks(run) for run in (sequence.bare, sequence.first, sequence.second))
    assert {CONFIGURE, PACKAGES} <= predicted
    assert done == predicted | {RESTART}
    assert again == set()


def test_repair_of_drift(sequence: Sequence) -> None:
    assert sequence.left
    predicted, done, again = (tasks(run) for run in (sequence.predicted, sequence.repaired, sequence.left))
    assert predicted == {CONFIGURE}
    assert done == {CONFIGURE, RESTART}
    assert again == set()


@pytest.mark.usefixtures("sequence")
def test_repair_keeps_what_the_operator_added(engine: Engine) -> None:
    before = json.loads(engine.host.file("/root/daemon.before").content_string)
    now = engine.configuration
    assert now.pop("shutdown-timeout") == 23
    now["labels"].remove("operator.own=kept")
    assert {**now, "labels": sorted(now["labels"])} == {**before, "labels": sorted(before["labels"])}
    # What was overwritten is kept beside it.
    assert engine.host.run("ls /etc/docker/daemon.json.*~").stdout


@pytest.mark.destructive
def test_run_without_drift_asks_once(runs: Runs, engine: Engine) -> None:
    """Neither is the engine restarted nor any other task of the role reached."""
    pid = engine.pid
    result = runs.play("converge.yml")
    assert result.returncode == 0, result.stdout
    assert "Ask the engine" in result.stdout
    assert "Install |" not in result.stdout.replace("Install and configure", "")
    assert "Start |" not in result.stdout
    assert engine.pid == pid


@pytest.mark.destructive
def test_stopped_engine_is_started(runs: Runs, engine: Engine) -> None:
    """Its configuration bears the role's label, so `auto` may start it."""
    engine.systemctl("disable --now docker.service docker.socket")
    assert engine.host.run("docker info").rc != 0
    assert tasks(runs.converge("--extra-vars", "docker_manage=auto")) == {RESTART}
    assert engine.info["LiveRestoreEnabled"] is True
    assert engine.host.service("docker").is_enabled
    assert not runs.converge("--extra-vars", "docker_manage=auto").changes


def declared(**options: object) -> str:
    """Write the argument that declares options of the engine's besides the scenario's."""
    return "--extra-vars=" + json.dumps({"docker_daemon_options": {**SCENARIO["docker_daemon_options"], **options}})


@pytest.mark.destructive
def test_option_that_the_engine_does_not_know_changes_nothing(runs: Runs, engine: Engine) -> None:
    """In a check run neither: the engine's program judges the file before it is put in place."""
    pid, before = engine.pid, engine.configuration
    for arguments in (["--check"], []):
        refused = runs.play("converge.yml", declared(nonsense=True), *arguments)
        assert refused.returncode != 0
        assert "docker_daemon_options: the engine would not start" in words(refused)
        assert "don't match any configuration option: nonsense. Correct the option or take it out." in words(refused)
    assert (engine.pid, engine.configuration) == (pid, before)
    assert not runs.converge().changes


@pytest.mark.destructive
def test_engine_that_does_not_start_gets_its_former_configuration_back(runs: Runs, engine: Engine, server: str) -> None:
    """Its program takes the option, and finds out at the start that there is no such thing. Containers run on."""
    before, started = engine.configuration, engine.inspect("container", server)["State"]["StartedAt"]
    failed = runs.play("converge.yml", declared(**{"log-driver": "nonsense"}))
    assert failed.returncode != 0
    assert "The engine does not start with what docker_daemon_options declares." in words(failed)
    assert "The former /etc/docker/daemon.json is back, and the engine runs with it." in words(failed)
    assert engine.configuration == before
    assert set(engine.info["Labels"]) == set(before["labels"])
    assert engine.inspect("container", server)["State"]["StartedAt"] == started
    assert not runs.converge().changes


@pytest.mark.destructive
def test_option_that_is_no_longer_declared_leaves(runs: Runs, engine: Engine) -> None:
    before = engine.configuration
    assert tasks(runs.converge(declared(mtu=1380))) == {CONFIGURE, RESTART}
    assert engine.configuration["mtu"] == 1380
    assert tasks(runs.converge()) == {CONFIGURE, RESTART}
    assert engine.configuration == before


@pytest.mark.thorough
@pytest.mark.destructive
def test_engine_that_does_not_start_any_more_is_mended(runs: Runs, engine: Engine) -> None:
    """The file of an older version of this role, which remembered nothing: what it had merged stayed for ever."""
    before = engine.configuration
    broken = json.dumps({**before, "nonsense": True})
    engine.host.check_output(
        "rm /etc/docker/pressdock.json && printf '%%s' %s > /etc/docker/daemon.json; systemctl restart docker.service;"
        " ! systemctl is-active docker.service",
        broken,
    )
    assert tasks(runs.converge()) == {CONFIGURE, RESTART}
    assert engine.configuration == before
    assert not runs.converge().changes


@pytest.mark.destructive
def test_containers_survive_the_engine(engine: Engine, server: str) -> None:
    """live-restore: the engine goes and comes, killed too, the container's process stays."""
    before = engine.inspect("container", server)["State"]
    for how in ["restart docker.service", "kill --signal=KILL --kill-whom=main docker.service"]:
        pid = engine.pid
        engine.systemctl(how)
        engine.wait()
        assert engine.pid != pid
        now = engine.inspect("container", server)["State"]
        assert (now["Pid"], now["StartedAt"]) == (before["Pid"], before["StartedAt"])
    assert now["Running"]


@pytest.mark.destructive
def test_reboot(engine: Engine, server: str) -> None:
    """Engine and container are back, without Ansible, and with the same configuration."""
    boot = engine.host.check_output("systemctl show --value --property UserspaceTimestampMonotonic")
    started = engine.inspect("container", server)["State"]["StartedAt"]
    labels = sorted(engine.info["Labels"])
    engine.reboot()
    assert engine.host.check_output("systemctl show --value --property UserspaceTimestampMonotonic") != boot
    assert sorted(engine.info["Labels"]) == labels
    state = engine.inspect("container", server)["State"]
    assert state["Running"]
    assert state["StartedAt"] != started


@pytest.fixture
def _foreign_engine(engine: Engine, runs: Runs) -> Iterator[None]:
    """Make it an engine that somebody else has installed and configured."""
    engine.host.check_output(
        "cp -p /etc/docker/daemon.json /root/daemon.own && printf '%%s' %s > /etc/docker/daemon.json",
        json.dumps(MANUAL),
    )
    engine.systemctl("restart docker.service")
    engine.wait()
    yield
    engine.host.check_output("cp -p /root/daemon.own /etc/docker/daemon.json")
    engine.systemctl("restart docker.service")
    engine.wait()
    assert not runs.converge().changes


@pytest.mark.destructive
@pytest.mark.usefixtures("_foreign_engine")
@pytest.mark.parametrize("manage", ["auto", pytest.param("never", marks=pytest.mark.thorough)])
def test_foreign_engine_is_left_alone(runs: Runs, engine: Engine, manage: str) -> None:
    pid = engine.pid
    assert not runs.converge("--extra-vars", f"docker_manage={manage}").changes
    assert engine.configuration == MANUAL
    assert engine.pid == pid


# The one above is left alone while it runs.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("_foreign_engine")
def test_foreign_engine_that_is_stopped_is_started_as_it_is(runs: Runs, engine: Engine) -> None:
    engine.systemctl("stop docker.service docker.socket")
    assert tasks(runs.converge("--extra-vars", "docker_manage=auto")) == {"Start | Start somebody else's engine"}
    assert engine.configuration == MANUAL
    assert engine.info["Labels"] == MANUAL["labels"]


# The unit tests of the module that asks the engine have silent ones.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.usefixtures("_foreign_engine")
def test_stopped_engine_is_refused_when_the_role_may_not_start_it(runs: Runs, engine: Engine) -> None:
    engine.systemctl("stop docker.service docker.socket")
    result = runs.play("converge.yml", "--extra-vars", "docker_manage=never")
    assert result.returncode != 0
    assert "No Docker Engine answers on instance" in result.stdout
    assert not engine.host.service("docker").is_running


@pytest.mark.destructive
@pytest.mark.usefixtures("_foreign_engine")
def test_foreign_engine_is_configured_when_told_to(runs: Runs, engine: Engine) -> None:
    assert tasks(runs.converge()) == {CONFIGURE, RESTART}
    configuration = engine.configuration
    # The operator's own stay, the declared ones win.
    assert configuration["debug"] is True
    assert "owner=somebody" in configuration["labels"]
    assert configuration["live-restore"] is True
    assert engine.info["LiveRestoreEnabled"] is True
    assert engine.info["Debug"] is True
    assert not runs.converge().changes
