"""What the engine's tests share: the engine itself, and containers that need no image of anybody."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stack import Stack

# An image of four symbolic links: the machine's own programs are mounted below /usr.
MAKE_IMAGE = (
    "d=$(mktemp -d) && mkdir $d/usr && ln -s usr/bin usr/sbin usr/lib usr/lib64 $d/"
    " && tar -C $d -c . | docker import - borrowed:1 && rm -r $d"
)
SERVE = (
    "use IO::Socket::INET; $| = 1; $SIG{TERM} = sub { exit };"
    " my $s = IO::Socket::INET->new(LocalPort => 7000, Listen => 5, ReuseAddr => 1);"
    ' while (my $c = $s->accept) { my $p = $c->peerhost; print "from $p\\n"; print $c "hello $p\\n"; close $c }'
)


class Engine:
    """The engine under test."""

    def __init__(self, host: Any, instance: str) -> None:
        self.host = host
        self.instance = instance

    @property
    def info(self) -> dict[str, Any]:
        """What the running engine says of itself."""
        found: dict[str, Any] = json.loads(self.host.check_output("docker info --format '{{json .}}'"))
        return found

    @property
    def configuration(self) -> dict[str, Any]:
        """The content of its configuration file."""
        found: dict[str, Any] = json.loads(self.host.file("/etc/docker/daemon.json").content_string)
        return found

    @property
    def pid(self) -> str:
        """The engine's process id."""
        return str(self.host.check_output("systemctl show --value --property MainPID docker.service"))

    def systemctl(self, arguments: str) -> None:
        """Run systemctl on the engine; the unit's limit of three starts a minute is for others than tests."""
        self.host.check_output(f"systemctl reset-failed docker.service docker.socket; systemctl {arguments}")

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return what the engine says of a container or network."""
        found: dict[str, Any] = json.loads(self.host.check_output("docker %s inspect %s", kind, name))[0]
        return found

    def serve(self, name: str, *options: str) -> None:
        """Start a small server on port 7000 in a container of its own."""
        words = ["docker", "run", "--detach", "--name", name, "--volume=/usr:/usr:ro", *options]
        words += ["borrowed:1", "perl", "-e", SERVE]
        self.host.check_output(" ".join(["%s"] * len(words)), *words)

    def wait(self, seconds: float = 60) -> None:
        """Wait until the machine is up and the engine answers."""
        end = time.monotonic() + seconds
        while self.host.run("systemctl is-system-running && docker info").rc != 0:
            assert time.monotonic() < end, self.host.run("systemctl --failed; journalctl -n 30 -u docker").stdout
            time.sleep(1)

    def reboot(self) -> None:
        """Restart the machine itself: this instance, and by no other name than its own."""
        subprocess.run(["docker", "restart", "--time=30", self.instance], check=True, capture_output=True)
        self.wait()


@pytest.fixture(scope="session")
def engine(stack: Stack, pytestconfig: pytest.Config) -> Engine:
    """Return the engine."""
    return Engine(stack.host, str(pytestconfig.getoption("hosts")).removeprefix("docker://"))


@pytest.fixture
def server(engine: Engine) -> Iterator[str]:
    """Run a server with a published port; return its name."""
    engine.host.check_output(MAKE_IMAGE)
    engine.serve("server", "--restart=unless-stopped", "--publish=7070:7000", "--memory=64m")
    yield "server"
    engine.host.check_output("docker rm --force server && docker image rm borrowed:1")
