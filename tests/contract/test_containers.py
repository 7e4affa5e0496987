"""The contract, for every container of the running stack. Read only: it may run on a machine in service."""

from __future__ import annotations

import time

import pytest

from tests.contract.checks import CHECKS, Check
from tests.support.stack import Container


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_container(container: Container, check: Check) -> None:
    check(container)


def test_does_not_restart_again_and_again(container: Container) -> None:
    """Healthy between two crashes is not healthy."""
    container.forget()
    before = (container.inspect["RestartCount"], container.state["StartedAt"])
    time.sleep(1)
    container.forget()
    assert (container.inspect["RestartCount"], container.state["StartedAt"]) == before
