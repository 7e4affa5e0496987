"""Services that can be left out: they leave no container, route or network behind, keep their data, and come back."""

from __future__ import annotations

import json

import pytest

from tests.support.runs import Runs
from tests.support.sites import Site
from tests.support.stack import Stack

OPTIONAL = {"adminer", "cadvisor", "ftp", "healer", "redis"}
TOOLS = ("adminer", "cadvisor")
PORT = 8444
EDGES = {"admin-database", "cache", "cache-harbour", "cache-market", "healer", "tool-adminer", "tool-cadvisor"}
"""Networks that exist for them alone."""


def names(stack: Stack, kind: str) -> set[str]:
    """List the stack's containers, networks or volumes by their short names."""
    command = {"container": "docker ps --all --format '{{.Names}}'"}.get(
        kind, f"docker {kind} ls --format '{{{{.Name}}}}'"
    )
    printed = stack.host.check_output(f"{command} --filter label=pressdock.stack=%s", stack.name)
    return {name.removeprefix(f"{stack.name}-") for name in printed.split()}


def status(stack: Stack, domain: str, path: str) -> str:
    """Ask for an address, without a login; return the status."""
    words = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "30", "--cacert",
             f"{stack.data_directory}/ca/ca.crt", "--resolve", f"{domain}:{PORT}:127.0.0.1",
             f"https://{domain}:{PORT}{path}"]  # fmt: skip
    return str(stack.host.check_output(" ".join(["%s"] * len(words)), *words))


@pytest.mark.destructive
def test_optional_services_leave_and_return(
    runs: Runs, stack: Stack, sites: list[Site], variables: dict[str, str]
) -> None:
    tools = [(variables[f"{name}_domain"] or sites[0].domain, variables[f"{name}_path"]) for name in TOOLS]
    dropin = "docker exec quayside-wordpress-harbour test -e /srv/sites/harbour/wp-content/object-cache.php"
    before = {kind: names(stack, kind) for kind in ("container", "network", "volume")}
    assert before["container"] >= OPTIONAL, "control"
    assert before["network"] >= EDGES, "control"
    assert {status(stack, *tool) for tool in tools} == {"401"}, "control"
    assert stack.host.run(dropin).rc == 0, "control"

    runs.converge("--extra-vars=" + json.dumps({f"stack_{name}": False for name in OPTIONAL}))
    assert names(stack, "container") == before["container"] - OPTIONAL
    assert names(stack, "network") == before["network"] - EDGES
    assert names(stack, "volume") == before["volume"]
    assert {status(stack, *tool) for tool in tools} == {"404"}
    assert stack.host.run(dropin).rc == 1
    for site in sites:
        assert status(stack, site.domain, "/") == "200"

    runs.converge()
    assert {kind: names(stack, kind) for kind in before} == before
    assert {status(stack, *tool) for tool in tools} == {"401"}
    assert stack.host.run(dropin).rc == 0
    assert runs.converge().changes == []
