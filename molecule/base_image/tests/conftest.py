"""What the tests of the base image share: the image, and commands run in it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stack import Stack


class Image:
    """The base image as the engine holds it."""

    def __init__(self, host: Any) -> None:
        self.host = host

    @property
    def references(self) -> list[str]:
        """Every tag of the service's images, newest first."""
        listing = self.host.check_output("docker images --format '{{.Repository}}:{{.Tag}}' quayside/base_image")
        return [line for line in str(listing).splitlines() if not line.endswith("<none>")]

    @property
    def newest(self) -> str:
        """The newest image's reference."""
        return self.references[0]

    def identifier(self, reference: str) -> str:
        """Return the engine's id of an image."""
        return str(self.host.check_output("docker image inspect --format '{{.Id}}' %s", reference))

    def run(self, script: str, *options: str) -> Any:
        """Run a shell script in a container of the image that has no network but its own loopback."""
        words = ["docker", "run", "--rm", "--network=none", *options, self.newest, "sh", "-c", script]
        return self.host.run(" ".join(["%s"] * len(words)), *words)


@pytest.fixture(scope="session")
def image(stack: Stack) -> Image:
    """Return the base image."""
    return Image(stack.host)
