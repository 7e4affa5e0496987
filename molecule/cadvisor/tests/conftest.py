"""What asks this scenario's cAdvisor: over HTTP, from its host."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.stack import Container, Stack

PREFIX = "/usage/of/containers"


@dataclass(frozen=True)
class Cadvisor:
    """The running cAdvisor, at its container's address."""

    stack: Stack
    container: Container

    def get(self, path: str, status: str = "200") -> str:
        """Fetch a path below the prefix, which must be answered with this status."""
        self.container.forget()
        (network,) = self.container.inspect["NetworkSettings"]["Networks"].values()
        url = f"http://{network['IPAddress']}:8080{path}"
        answer = self.stack.host.check_output("curl --silent --max-time 20 --write-out '\n%%{http_code}' %s", url)
        body, _, code = answer.rpartition("\n")
        assert code == status, f"{path}: {code}: {body[:300]}"
        return str(body)

    def series(self, metric: str, name: str) -> list[tuple[Mapping[str, str], float]]:
        """Return the labels and values of a metric's series of one container, as Prometheus reads them."""
        families = text_string_to_metric_families(self.get(f"{PREFIX}/metrics"))
        samples = [sample for family in families for sample in family.samples]
        assert samples
        return [(s.labels, s.value) for s in samples if s.name == metric and s.labels.get("name") == name]

    def total(self, metric: str, name: str) -> float:
        """Add up a metric's series of one container, of which there is at least one."""
        found = self.series(metric, name)
        assert found, f"no {metric} of {name}"
        return sum(value for _, value in found)

    def api(self, path: str) -> Any:
        """Ask the interface for programs."""
        return json.loads(self.get(f"{PREFIX}/api/v1.3{path}"))


@pytest.fixture(scope="session")
def cadvisor(stack: Stack) -> Cadvisor:
    """Return the running cAdvisor."""
    return Cadvisor(stack, stack.container("cadvisor"))
