"""What visitors notice when something below the sites is away or hangs: the engine, the database server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.sites import Site
from tests.support.stack import Container, Stack
from tests.support.visitors import Visitors
from tests.support.visits import Plan
from tests.support.web import Answer, Web

pytestmark = pytest.mark.destructive

ASKING = ("quayside-healer", "quayside-cadvisor")
"""Containers with the engine's socket."""
AWAY = 30
"""Seconds without an engine: several times as long as any address is kept that is looked up."""
BUSY = 4
"""Seconds that a page may take on a busy machine besides the waiting that is looked at."""
STAY_AWAY = "/run/systemd/system/docker.service.d/away.conf"
ENGINE_FILE = "/etc/docker/daemon.json"
LIVE_RESTORE = '{"live-restore": true}'


def web(stack: Stack, site: Site) -> Web:
    """Return a visitor of a site."""
    return Web(stack.host, "127.0.0.1", site.port, site.domain, f"{stack.data_directory}/ca/ca.crt", "127.0.0.1")


def timed(stack: Stack, site: Site) -> tuple[Answer, float]:
    """Ask for a page that no cache holds; return the answer and the seconds that it took."""
    start = time.monotonic()
    answer = web(stack, site).get(f"/?visit={start}")
    return answer, time.monotonic() - start


@contextmanager
def hung(container: Container) -> Iterator[None]:
    """Stop a container's main process while the block lasts."""
    container.host.check_output(f"kill -STOP {container.main_pid}")
    try:
        yield
    finally:
        container.host.check_output(f"kill -CONT {container.main_pid}")


def started(stack: Stack) -> dict[str, str]:
    """Say when each container's main process was started, but for those that ask the engine."""
    return {c.name: c.state["StartedAt"] for c in stack.containers() if c.name not in ASKING}


@contextmanager
def without_engine(stack: Stack) -> Iterator[None]:
    """Kill the engine, and keep systemd from starting it again while the block lasts."""
    run = stack.host.check_output
    # The instance brought its engine along; one that the docker role installs is configured so.
    assert not stack.host.file(ENGINE_FILE).exists
    run(f"mkdir -p /etc/docker && echo '{LIVE_RESTORE}' > {ENGINE_FILE} && systemctl reload docker.service")
    run(f"mkdir -p $(dirname {STAY_AWAY}) && printf '[Service]\\nRestart=no\\n' > {STAY_AWAY}")
    run("systemctl daemon-reload")
    try:
        # In this order: with its socket the engine would be stopped, in peace. By the socket anybody would start it.
        run("systemctl kill --signal=KILL --kill-whom=main docker.service; systemctl stop docker.socket docker.service")
        yield
    finally:
        run(f"rm {STAY_AWAY} && systemctl daemon-reload && systemctl reset-failed docker.service docker.socket")
        run("systemctl start docker.socket docker.service")
        run(f"rm {ENGINE_FILE} && systemctl reload docker.service")
        # They have the former socket. The healer would notice, end, and restart the other one, a minute later.
        run(f"docker restart --time 2 {' '.join(ASKING)}")


def test_pages_go_on_without_the_engine(stack: Stack, sites: list[Site]) -> None:
    """It is killed, and away for a while: no request fails, those for the database's pages included."""
    before = started(stack)
    domains = [site.domain for site in sites]
    authority = f"{stack.data_directory}/ca/ca.crt"
    # Not the loopback's: there the engine's own helpers hand connections on, which go with it.
    address = stack.host.check_output("hostname --all-ip-addresses").split()[0]
    plan = Plan(address, sites[0].port, domains, authority, new=1, kept=1, unique=True, pause=0.5)
    with without_engine(stack):
        with Visitors(stack.host, plan) as visitors:
            time.sleep(AWAY)
            assert stack.host.run("timeout 5 docker info").rc != 0, "control: it is away"
            # The memory outlives what an operator does meanwhile.
            stack.host.check_output("pkill --signal HUP --full '^nginx: master process'")
            time.sleep(2)
        # Not later: an engine that starts writes its rules anew, and a new connection may be refused in that moment.
        assert visitors.result.failures == {}
    assert min(visitors.result.asked.values()) > AWAY
    assert started(stack) == before


def test_hung_database_is_a_short_503_and_recovers(stack: Stack, sites: list[Site]) -> None:
    site, database = sites[0], stack.container("mariadb")
    before = started(stack)
    assert timed(stack, site)[0].status == 200
    with hung(database):
        first, waited = timed(stack, site)
        assert (first.status, first.headers.get("retry-after")) == (503, "10")
        assert first.headers["cache-control"] == "no-store"
        assert waited < 5 + BUSY, "wordpress_database_timeout is 5"
        # Who comes after it does not wait; neither does who wants to log in.
        second, waited = timed(stack, site)
        assert (second.status, waited < BUSY) == (503, True)
        assert web(stack, site).get("/wp-login.php").status == 503
    end = time.monotonic() + 15
    while (last := timed(stack, site)[0].status) != 200 and time.monotonic() < end:
        time.sleep(0.5)
    assert last == 200
    # From the first answer on, also where the cache knows all that a page needs.
    assert {timed(stack, site)[0].status for _ in range(5)} == {200}
    assert started(stack) == before


def test_hung_cache_costs_a_moment(stack: Stack, sites: list[Site]) -> None:
    with hung(stack.container("redis")):
        for _ in range(3):
            answer, waited = timed(stack, sites[0])
            assert (answer.status, waited < BUSY) == (200, True)
