"""The sites of this scenario, and a visitor."""

from __future__ import annotations

import pytest

from tests.support.network import Site, Visitor
from tests.support.stack import Stack


@pytest.fixture
def visitor(stack: Stack, request: pytest.FixtureRequest) -> Visitor:
    """Return a visitor whose address nobody else has: rates are counted for each address."""
    names = [item.nodeid for item in request.session.items]
    return Visitor(stack, f"198.51.100.{100 + names.index(request.node.nodeid) % 21}")


@pytest.fixture(scope="session")
def inseln(stack: Stack, installation_key: str) -> Site:
    """Return the network of directories."""
    return Site(stack, "inseln", installation_key)


@pytest.fixture(scope="session")
def kanal(stack: Stack, installation_key: str) -> Site:
    """Return the network of sub-domains."""
    return Site(stack, "kanal", installation_key)


@pytest.fixture(scope="session")
def einzel(stack: Stack, installation_key: str) -> Site:
    """Return the single site."""
    return Site(stack, "einzel", installation_key)
