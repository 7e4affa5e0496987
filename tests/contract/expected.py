"""What the contract expects of each service, said a second time and independently of the roles.

A new service adds one entry here. A service without one must run as an ordinary user, with no capability at all and
without a published port.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expectation:
    """What is expected of the containers of one service."""

    user: int | None = None
    """User and group id of every process; None: any but root."""
    program: str | None = None
    """File name of the program that is PID 1; None: any but a shell or a stand-in."""
    capabilities: frozenset[str] = frozenset()
    """Capabilities that its processes may have."""
    port_range: bool = False
    """Whether an unbroken range of container ports is published besides."""
    passing_root: frozenset[str] = frozenset()
    """Programs that may be root for the moment in which they become somebody else."""
    observes: frozenset[tuple[str, str]] = frozenset()
    """What it sees of the host, place there and in the container: nothing of it writable. With the engine's socket it
    has this file's group."""
    ports: frozenset[str] = frozenset()
    """Container ports that are published."""


SOCKET = ("/run/docker.sock", "/run/docker.sock")
HOST = frozenset(
    {
        SOCKET,
        ("/sys", "/sys"),
        ("/proc", "/rootfs/proc"),
        ("/var/lib/docker", "/rootfs/var/lib/docker"),
        ("/run/containerd/containerd.sock", "/run/containerd/containerd.sock"),
    }
)

SERVICES = {
    "adminer": Expectation(user=615),
    # As root for as long as it takes to become another user. Who may ask the engine may do everything on the host:
    # these two may, and no third one.
    "cadvisor": Expectation(
        user=616,
        program="cadvisor",
        capabilities=frozenset({"DAC_READ_SEARCH", "SETGID", "SETUID"}),
        passing_root=frozenset({"setpriv"}),
        observes=HOST,
    ),
    "healer": Expectation(
        user=617,
        program="python3.13",
        capabilities=frozenset({"SETGID", "SETUID"}),
        passing_root=frozenset({"setpriv"}),
        observes=frozenset({SOCKET}),
    ),
    # As root for as long as it takes to become another user: setpriv does that for PID 1 and the health check.
    "ftp": Expectation(
        user=613,
        program="proftpd",
        capabilities=frozenset({"SETGID", "SETUID", "SYS_CHROOT"}),
        ports=frozenset({"2121/tcp"}),
        port_range=True,
        passing_root=frozenset({"setpriv"}),
    ),
    "mariadb": Expectation(user=610, program="mariadbd"),
    "nginx": Expectation(user=612, program="nginx", ports=frozenset({"8443/tcp"})),
    "redis": Expectation(user=611, program="redis-server"),
    "wordpress": Expectation(user=613),
}


def expected(service: str) -> Expectation:
    """Return what is expected of a service's containers."""
    return SERVICES.get(service, Expectation())
