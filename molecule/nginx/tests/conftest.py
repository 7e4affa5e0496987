"""Tells the contract about the stand-in for PHP, and the shared tests what is different about certificates."""

from __future__ import annotations

import pytest

from tests.contract.expected import SERVICES, Expectation
from tests.support.stack import Container, Stack
from tests.support.web import Web

SERVICES["responder"] = Expectation(user=613, program="perl")

OWN_VERSIONS = {
    # A certificate that is issued anew is another one: the server's container is replaced, with another label.
    # test_certificates.py asks the same of everything else.
    "test_repair_restores_every_container",
    "test_repair_restores_every_file",
    "test_repair_leaves_alone_what_did_not_drift",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the shared tests that have a version of their own here."""
    config.hook.pytest_deselected(items=[item for item in items if item.name in OWN_VERSIONS])
    items[:] = [item for item in items if item.name not in OWN_VERSIONS]


@pytest.fixture(scope="session")
def web(stack: Stack) -> Web:
    """Return a visitor."""
    authority = "/srv/harbour/authority/ca.crt"
    return Web(stack.host, "198.51.100.1", 8444, "harbour.example.test", authority, "198.51.100.6")


@pytest.fixture(scope="session")
def nginx(stack: Stack) -> Container:
    """Return the web server's container."""
    return stack.container("nginx")
