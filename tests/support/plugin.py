"""Pytest plugin for every test that looks at a running stack: options, fixtures, logs on failure.

- `pytest tests/contract --hosts=local://`: the stack of this machine, read only;
- `pytest tests/contract --hosts=ssh://root@web-1 --stack=shop`: another machine's, another stack;
- `molecule verify -s <scenario>` passes --hosts, --stack and --destructive.

Tests marked `thorough` (they take long, and repeat with another value what another one shows) are left out unless
PRESSDOCK_TEST_THOROUGH is set, as `make test-all` does.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import testinfra

from tests.support import times
from tests.support.runs import Runs, Sequence
from tests.support.sites import PROJECT, Site, declared_sites, declared_variables
from tests.support.stack import Container, Stack

THOROUGH = "PRESSDOCK_TEST_THOROUGH"
ENOUGH_ALIKE = 3
"""Containers of one service with one command that a test is run for, where not all are asked for."""
STACK_KEY: pytest.StashKey[Stack] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pressdock")
    group.addoption("--stack", default="pressdock", help="stack_name of the stack under test")
    group.addoption(
        "--destructive",
        action="store_true",
        help="also run the tests that break containers: only on a test instance",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "destructive: breaks the stack for a moment; needs --destructive")
    config.addinivalue_line("markers", f"thorough: takes long and repeats another test; needs {THOROUGH}")
    times.register(config)


def running_stack(config: pytest.Config) -> Stack:
    """Return the stack under test; there is one for the whole session."""
    if STACK_KEY not in config.stash:
        hosts = config.getoption("hosts") or "local://"
        config.stash[STACK_KEY] = Stack(testinfra.get_host(hosts), config.getoption("stack"))
    return config.stash[STACK_KEY]


def shown(containers: Iterable[Container]) -> list[Container]:
    """Leave out containers of which there are as many alike as are enough, unless all tests are asked for."""
    if os.environ.get(THOROUGH):
        return list(containers)
    kinds: dict[str, int] = {}
    found = []
    for container in containers:
        kind = str([container.inspect["Config"]["Labels"].get("pressdock.service"), container.inspect["Config"]["Cmd"]])
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] <= ENOUGH_ALIKE:
            found.append(container)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `container` once for each container of the stack."""
    if "container" in metafunc.fixturenames:
        containers = shown(running_stack(metafunc.config).containers())
        # No container is a failure of each such test, not a reason to skip it.
        metafunc.parametrize(
            "container", containers or [None], ids=[c.short_name for c in containers] or ["none"], indirect=True
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what breaks the stack last, and that and what takes long only when asked to."""
    left_out = [item for item in items if item.get_closest_marker("thorough")] if not os.environ.get(THOROUGH) else []
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("destructive") is not None)
    if not config.getoption("destructive"):
        skip = pytest.mark.skip(reason="breaks the stack: needs --destructive")
        for item in items:
            if item.get_closest_marker("destructive"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Add the last log lines of the stack's containers to the report of a failed test."""
    report = yield
    if report.failed and STACK_KEY in item.config.stash:
        try:
            report.sections.append(("logs of the stack's containers", item.config.stash[STACK_KEY].logs()))
        except Exception as error:  # noqa: BLE001 -- a report without logs is better than none
            report.sections.append(("logs of the stack's containers", f"not available: {error}"))
    return report


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Stack:
    """Return the running stack under test."""
    return running_stack(pytestconfig)


@pytest.fixture
def container(request: pytest.FixtureRequest) -> Container:
    """Return one container of the stack; the test runs for each."""
    found: Container | None = request.param
    assert found is not None, "the stack has no container"
    return found


@pytest.fixture(scope="session")
def runs(stack: Stack) -> Runs:
    """Return what molecule's runs of this scenario reported."""
    if "MOLECULE_EPHEMERAL_DIRECTORY" not in os.environ:
        pytest.skip("needs molecule: what its runs reported")
    return Runs(stack.host)


@pytest.fixture(scope="session")
def sequence(runs: Runs) -> Sequence:
    """Return the scenario's runs of converge.yml, when they are those of `molecule test`."""
    found = runs.sequence()
    if found is None:
        pytest.skip("only after a full `molecule test`: the runs are not those of its sequence")
    return found


@pytest.fixture(scope="session")
def secrets(stack: Stack, request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the stack's secrets, name to value: what its containers read, and the key where it is at hand."""
    secrets = stack.secrets()
    if "MOLECULE_EPHEMERAL_DIRECTORY" in os.environ:
        secrets["the installation key"] = request.getfixturevalue("installation_key")
    return secrets


@pytest.fixture(scope="session")
def installation_key() -> str:
    """Return the key that the stack's secrets are derived from."""
    directory = os.environ.get("MOLECULE_EPHEMERAL_DIRECTORY", PROJECT / "secrets")
    return (Path(directory) / "installation.key").read_text().strip()


@pytest.fixture(scope="session")
def variables() -> dict[str, Any]:
    """Return the variables that are declared for the stack under test, as they are written."""
    scenario = os.environ.get("MOLECULE_SCENARIO_DIRECTORY")
    return declared_variables(Path(scenario) if scenario else None)


@pytest.fixture(scope="session")
def sites(variables: dict[str, Any], installation_key: str) -> list[Site]:
    """Return the declared sites of the stack under test."""
    return declared_sites(variables, installation_key)


@pytest.fixture(scope="session")
def converge(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Return a function that brings the stack under test to its declared state, as its operator does."""

    def run() -> None:
        if "MOLECULE_EPHEMERAL_DIRECTORY" in os.environ:
            request.getfixturevalue("runs").converge()
        else:
            subprocess.run(["ansible-playbook", "site.yml"], cwd=PROJECT, check=True)

    return run
