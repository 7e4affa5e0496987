"""Crashes, as the machine makes them: kill -9 behind the engine's back. Nothing acknowledged is lost, it comes back."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.runs import Runs
    from tests.support.stack import Stack

    from .conftest import Client, Server

pytestmark = pytest.mark.destructive
VICTIM = "victim"
SYSTEM_ACCOUNTS = ["mariadb.sys@localhost", "mysql@localhost", "root@localhost"]


def test_kill_during_commits_loses_nothing_acknowledged(
    server: Server, client: Client, passwords: dict[str, str]
) -> None:
    server.query("CREATE OR REPLACE TABLE wordpress_blog.counter (n INT PRIMARY KEY) ENGINE=InnoDB")
    # Every SELECT answers only after the INSERT before it was acknowledged: what is printed was promised.
    writer = (
        'seq %s 1000000 | awk \'{print "INSERT INTO counter VALUES (" $1 "); SELECT " $1 ";"}\''
        " | MYSQL_PWD=%s docker exec -i -e MYSQL_PWD elsewhere"
        " mariadb -h mariadb -u wordpress_blog -N -B --unbuffered wordpress_blog > /tmp/acknowledged 2>/dev/null &"
    )
    assert client.name == "elsewhere"
    for _ in range(3):
        first = int(server.value("COALESCE(MAX(n), 0) + 1 FROM wordpress_blog.counter"))
        server.container.forget()
        restarts = server.container.inspect["RestartCount"]
        server.host.check_output("rm -f /tmp/acknowledged")
        server.host.check_output(writer, str(first), passwords["wordpress_blog"])
        written = f'test "$(tail -n 1 /tmp/acknowledged 2>/dev/null || echo 0)" -gt {first + 50} 2>/dev/null'
        deadline = time.monotonic() + 60
        while server.host.run(written).rc != 0:
            assert time.monotonic() < deadline, "nothing was written"
        # Not a test's secret: at another moment each time.
        time.sleep(random.uniform(0, 1))  # noqa: S311
        server.signal("KILL")
        server.wait_for_restart(restarts, 30)
        server.wait_for_health("healthy", 90)
        assert server.container.inspect["RestartCount"] == restarts + 1
        acknowledged = int(server.host.check_output("tail -n 1 /tmp/acknowledged"))
        count, last = server.query("SELECT COUNT(*), MAX(n) FROM wordpress_blog.counter")[0]
        assert int(last) >= acknowledged
        assert count == last, "a row in the middle is lost"


def test_server_logs_its_crash_recovery(server: Server) -> None:
    """Control of the test above: these were crashes, not orderly stops."""
    assert "Starting crash recovery" in server.container.logs() or "Crash recovery" in server.container.logs()


def test_data_survives_recreation(server: Server, runs: Runs) -> None:
    server.query("CREATE OR REPLACE TABLE wordpress_blog.survivor AS SELECT 'afloat' AS line")
    server.container.forget()
    identifier = server.container.identifier
    server.host.check_output("docker rm --force %s", server.container.name)
    runs.converge()
    server.container.forget()
    assert server.container.identifier != identifier
    assert server.query("SELECT line FROM wordpress_blog.survivor") == [["afloat"]]
    server.query("DROP TABLE wordpress_blog.survivor")
    assert not runs.converge().changes


@pytest.fixture
def victim(stack: Stack, server: Server) -> Iterator[Callable[[], dict[str, Any]]]:
    """Create, but do not start, a second server with an empty data directory; return how to ask the engine for it."""
    server.container.forget()
    image = server.container.inspect["Config"]["Image"]
    stack.host.check_output(
        f"rm -rf /srv/{VICTIM} && install -d -o 610 -g 610 /srv/{VICTIM} && docker create --name {VICTIM}"
        " --label pressdock.stack=none --network quayside-database-pier --user 610:610 --read-only"
        " --tmpfs /run/mysqld:uid=610,gid=610 --tmpfs /tmp:uid=610,gid=610"
        f" --health-cmd 'mariadb -e \"SHOW TABLES IN mysql\"' --health-interval 1s --health-retries 99"
        f" -v /srv/{VICTIM}:/var/lib/mysql %s",
        image,
    )

    def inspect() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(stack.host.check_output(f"docker inspect {VICTIM}"))[0]
        return found

    yield inspect
    stack.host.check_output(f"docker rm --force {VICTIM} && rm -rf /srv/{VICTIM}")


# Seconds after the start; the first initialisation takes about four. The last comes at the upgrade or after it.
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param((0.1, 0.6), marks=pytest.mark.thorough),
        (1.1, 1.6),
        pytest.param((2.2, 0.3), marks=pytest.mark.thorough),
        pytest.param((3.0, 3.6), marks=pytest.mark.thorough),
        (4.4, 2.7),
    ],
    ids=str,
)
def test_first_initialisation_killed(
    stack: Stack, client: Client, victim: Callable[[], dict[str, Any]], moments: tuple[float, float]
) -> None:
    """Killed twice, at other moments each time; then it starts, is whole, and lets nobody in without a password."""
    for moment in moments:
        stack.host.check_output(f"docker start {VICTIM}")
        pid = victim()["State"]["Pid"]
        assert pid > 1
        time.sleep(moment + random.uniform(0, 0.3))  # noqa: S311 -- not a secret
        stack.host.run("kill -9 %s", str(pid))
        stack.host.check_output(f"docker wait {VICTIM}")
        assert victim()["State"]["ExitCode"] == 137
    stack.host.check_output(f"docker start {VICTIM}")
    deadline = time.monotonic() + 90
    while victim()["State"]["Health"]["Status"] != "healthy":
        for user in ("root", "mysql", ""):
            # Not even for a moment, while it starts.
            assert client.run(user, None, "SELECT 1", "--connect-timeout=1", peer=VICTIM).rc != 0
        assert victim()["State"]["Running"], stack.host.run(f"docker logs {VICTIM} 2>&1 | tail -30").stdout
        assert time.monotonic() < deadline, stack.host.run(f"docker logs {VICTIM} 2>&1 | tail -30").stdout
    for user in ("root", "mysql", ""):
        # Host not allowed (no account can be used from elsewhere), or access denied.
        answer = client.run(user, None, "SELECT 1", peer=VICTIM)
        assert answer.rc != 0
        assert "1130" in answer.stderr or "1045" in answer.stderr, answer.stderr
    ask = f"docker exec {VICTIM} mariadb -N -B -e %s"
    accounts = "SELECT CONCAT(User, '@', Host) FROM mysql.global_priv ORDER BY 1"
    assert stack.host.check_output(ask, accounts).split() == SYSTEM_ACCOUNTS
    tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('mysql', 'sys')"
    # As many as the server has that was never disturbed.
    assert stack.host.check_output(ask, tables) == stack.host.check_output(
        "docker exec quayside-mariadb mariadb -N -B -e %s", tables
    )
    check = f"docker exec {VICTIM} mariadb-check --check --databases mysql sys"
    assert not [line for line in stack.host.check_output(check).splitlines() if not line.endswith("OK")]
