"""The engine, stopped, is started and then seen as it is; a volume of it that is another than declared ends the run."""

from __future__ import annotations

import pytest

from tests.support.runs import Runs, words
from tests.support.stack import Stack

# Each is some minutes of converges.
pytestmark = pytest.mark.thorough


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


@pytest.mark.destructive
@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (
            "--label pressdock.stack=quayside --opt o=bind --opt device=/tmp/elsewhere",
            "leads to /tmp/elsewhere, declared is /srv/harbour/quayside/volumes/tls-ftp",
        ),
        (
            "--label pressdock.stack=quayside --opt o=bind,ro --opt device=/srv/harbour/quayside/volumes/tls-ftp",
            "has the options type=none,o=bind,ro, declared are type=none,o=bind",
        ),
        (
            "--opt o=bind --opt device=/srv/harbour/quayside/volumes/tls-ftp",
            "belongs to no stack, declared is quayside",
        ),
    ],
    ids=["directory", "options", "label"],
)
def test_volume_that_is_another_is_refused(runs: Runs, stack: Stack, options: str, difference: str) -> None:
    """It may hold the only copy of something: nothing is removed, and nothing else is done before that is settled."""
    runs.converge()
    stack.host.check_output(
        "docker rm --force quayside-ftp && docker volume rm quayside-tls-ftp && mkdir -p /tmp/elsewhere"
        f" && docker volume create --opt type=none {options} quayside-tls-ftp"
    )
    before = set(runs.engine_now())
    for arguments in (["--check"], []):
        refused = runs.play("converge.yml", *arguments)
        assert refused.returncode != 0
        assert f"Volume quayside-tls-ftp {difference}" in words(refused)
        assert runs.all()[-1].changes == []
    assert set(runs.engine_now()) == before
    stack.host.check_output("docker volume rm quayside-tls-ftp")
    runs.converge()
    assert runs.converge().changes == []
