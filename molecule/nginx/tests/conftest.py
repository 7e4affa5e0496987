"""Tells the contract about the stand-in for PHP."""

from __future__ import annotations

import pytest

from tests.contract.expected import SERVICES, Expectation
from tests.support.stack import Container, Stack
from tests.support.web import Web

SERVICES["responder"] = Expectation(user=613, program="perl")


@pytest.fixture(scope="session")
def web(stack: Stack) -> Web:
    """Return a visitor."""
    authority = "/srv/harbour/authority/ca.crt"
    return Web(stack.host, "198.51.100.1", 8444, "harbour.example.test", authority, "198.51.100.6")


@pytest.fixture(scope="session")
def nginx(stack: Stack) -> Container:
    """Return the web server's container."""
    return stack.container("nginx")
