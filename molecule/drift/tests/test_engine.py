"""An engine that somebody has stopped is started, and then seen as it is."""

from __future__ import annotations

import pytest

from tests.support.runs import Runs
from tests.support.stack import Stack


@pytest.mark.destructive
def test_stopped_engine_is_started_and_its_containers_stay(runs: Runs, stack: Stack) -> None:
    """They start with it, and the run finds them as declared: what it saw before the engine ran is forgotten."""
    runs.converge()
    before = {name: one.identifier for name, one in runs.engine_now().items()}
    assert before
    stack.host.check_output("systemctl reset-failed docker.service; systemctl stop docker.socket docker.service")
    assert stack.host.run("docker info").rc != 0
    # The instance brings its engine along: to the role it is somebody else's.
    assert runs.converge().changed_items == {("Start | Start somebody else's engine", "")}
    assert {name: one.identifier for name, one in runs.engine_now().items()} == before
    assert runs.converge().changes == []
