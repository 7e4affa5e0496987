"""What the running server says of its settings, and what the engine gave it."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.runs import words

if TYPE_CHECKING:
    from tests.support.runs import Runs

    from .conftest import Server

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        # Nothing acknowledged is lost.
        ("@@innodb_flush_log_at_trx_commit", "1"),
        ("@@sync_binlog", "1"),
        ("@@innodb_doublewrite", "ON"),
        ("@@log_bin", "1"),
        ("@@binlog_format", "ROW"),
        ("@@binlog_expire_logs_seconds", str(3 * 86400)),
        ("@@max_binlog_size", str(64 * MIB)),
        # No way to files.
        ("@@local_infile", "0"),
        ("@@secure_file_priv", "/run/mysqld/"),
        ("@@skip_name_resolve", "1"),
        # Sized by the limit: half of 640 MiB.
        ("@@innodb_buffer_pool_size", str(320 * MIB)),
        ("@@max_connections", "37"),
        ("@@character_set_server", "utf8mb4"),
        ("@@datadir", "/var/lib/mysql/data/"),
        # mariadb_extra_config.
        ("@@slow_query_log", "1"),
        ("@@long_query_time", "4.500000"),
    ],
)
def test_setting(server: Server, expression: str, value: str) -> None:
    assert server.value(expression) == value


def test_limits(server: Server) -> None:
    assert server.container.inspect["HostConfig"]["Memory"] == 640 * MIB
    assert server.container.inspect["HostConfig"]["NanoCpus"] == 900_000_000


def test_binary_log_is_written(server: Server) -> None:
    """Each change moves the position in it, a question does not."""
    before = server.query("SHOW MASTER STATUS")[0][1]
    assert server.query("SHOW MASTER STATUS")[0][1] == before
    server.query("CREATE TABLE latin.noted (n INT); DROP TABLE latin.noted")
    assert int(server.query("SHOW MASTER STATUS")[0][1]) > int(before)


@pytest.mark.destructive
def test_binary_logs_go_when_they_are_old_enough(server: Server) -> None:
    """Asked of the volume. The control is what happens while the server waits for a replica (11.4 and later)."""
    declared = server.value("@@binlog_expire_logs_seconds")

    def files() -> set[str]:
        return set(server.container.run("sh", "-c", "ls /var/lib/mysql/data | grep '^binlog[.][0-9]*$'").stdout.split())

    try:
        server.query("SET GLOBAL binlog_expire_logs_seconds = 1")
        waits = server.query("SHOW GLOBAL VARIABLES LIKE 'slave_connections_needed_for_purge'")
        assert waits in ([["slave_connections_needed_for_purge", "0"]], [])
        if waits:
            server.query("SET GLOBAL slave_connections_needed_for_purge = 1; FLUSH BINARY LOGS")
            kept = files()
            time.sleep(2.5)
            server.query("FLUSH BINARY LOGS")
            assert kept <= files()
            server.query("SET GLOBAL slave_connections_needed_for_purge = 0")
        server.query("FLUSH BINARY LOGS")
        old = files()
        time.sleep(2.5)
        server.query("FLUSH BINARY LOGS")
        # The one that was written last is closed a moment ago, and the current one is new.
        assert len(files() & old) <= 1
        assert len(old) >= 2
    finally:
        server.query(f"SET GLOBAL binlog_expire_logs_seconds = {declared}")


def test_settings_have_their_effect(server: Server) -> None:
    """Not what the server says of them: what they are for."""

    def refusal(statement: str) -> str:
        result = server.container.run("mariadb", "--batch", "-e", statement)
        assert result.rc != 0, statement
        return str(result.stderr)

    # Not by the server itself with all rights, nor by its client.
    table = "CREATE TEMPORARY TABLE latin.t (l TEXT);"
    assert "ERROR 1290" in refusal(f"{table} LOAD DATA INFILE '/etc/passwd' INTO TABLE latin.t")
    assert "ERROR 1290" in refusal("SELECT 1 INTO OUTFILE '/tmp/out'")
    told = refusal(f"{table} LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE latin.t")
    assert re.search("ERROR (1148|4166)", told), told
    # Files on the volume.
    size = server.container.run("stat", "-c", "%s", "/var/lib/mysql/data/ib_logfile0").stdout
    assert int(size) == 96 * MIB
    assert server.value("LENGTH(REPEAT('x', 60 * 1024 * 1024))") == str(60 * MIB)
    assert server.value("REPEAT('x', 65 * 1024 * 1024) IS NULL") == "1"
    # A table that says its character set alone compares with WordPress's own.
    try:
        server.query(
            "CREATE TABLE latin.said (line TEXT) DEFAULT CHARSET=utf8mb4; CREATE TABLE latin.silent (line TEXT)"
        )
        collations = server.query(
            "SELECT DISTINCT TABLE_COLLATION FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = 'latin' AND TABLE_NAME IN ('said', 'silent')"
        )
    finally:
        server.query("DROP TABLE IF EXISTS latin.said, latin.silent")
    version = tuple(int(part) for part in server.value("VERSION()").split(".")[:2])
    assert ["utf8mb4_unicode_520_ci"] in collations
    assert len(collations) == (1 if version >= (11, 2) else 2)
    # The slow query of mariadb_extra_config is written down.
    log = server.value("@@slow_query_log_file")
    server.query("SET SESSION long_query_time = 0.1; SELECT SLEEP(0.23)")
    assert "SLEEP(0.23)" in server.container.run("cat", f"/var/lib/mysql/data/{log}").stdout


def test_database_character_sets(server: Server, passwords: dict[str, str]) -> None:
    rows = server.query("SELECT SCHEMA_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA")
    found = {name: collation for name, collation in rows if name in passwords}
    assert found == dict.fromkeys(passwords, "utf8mb4_unicode_520_ci")


def test_upgrade_was_finished(server: Server) -> None:
    """The start after the first one does not upgrade again."""
    assert server.container.run("test", "-s", "/var/lib/mysql/data/mariadb_upgrade_info").rc == 0


def test_server_is_reached_on_its_networks_only(server: Server) -> None:
    networks = server.container.inspect["NetworkSettings"]["Networks"]
    assert set(networks) == {"quayside-database-quay", "quayside-database-pier"}
    assert not [bindings for bindings in server.container.inspect["NetworkSettings"]["Ports"].values() if bindings]


@pytest.mark.destructive
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        # The server would start without it.
        ("plugin_load_add = nothing", "Couldn't load plugins from 'nothing.so'"),
        pytest.param("nonsense_option = 1", "unknown variable 'nonsense_option=1'", marks=pytest.mark.thorough),
        pytest.param("max_connections = many", "Error while setting value 'many'", marks=pytest.mark.thorough),
    ],
)
def test_configuration_that_the_server_refuses_replaces_nothing(
    server: Server, runs: Runs, line: str, reason: str
) -> None:
    before = server.container.identifier
    refused = runs.play("converge.yml", "--extra-vars=" + json.dumps({"mariadb_extra_config": line}))
    assert refused.returncode != 0
    for said in (reason, "mariadbd refuses its configuration. What an operator writes in it is mariadb_extra_config."):
        assert said in words(refused)
    server.container.forget()
    assert (server.container.identifier, server.container.health) == (before, "healthy")


@pytest.mark.thorough
@pytest.mark.destructive
def test_networks_come_and_go_while_it_runs(server: Server, runs: Runs) -> None:
    """One session lasts, and the server answers on the network that it has joined."""

    def process() -> tuple[str, str]:
        server.container.forget()
        return server.container.identifier, server.container.state["StartedAt"]

    assert runs.converge().changes == []
    before = process()
    session = "mariadb --execute 'DO SLEEP(600)'"
    server.host.check_output("docker exec --detach %s sh -c %s", server.container.name, session)
    changed = "--extra-vars=" + json.dumps({"mariadb_networks": ["database-quay", "database-dock"]})
    predicted = runs.converge("--check", changed).changed_items
    joined = {("Prepare | Keep the networks", "quayside-database-dock"), ("Run | Start the containers", "mariadb")}
    assert runs.converge(changed).changed_items == predicted == joined
    assert process() == before
    sleeping = "SELECT ID FROM information_schema.PROCESSLIST WHERE INFO = 'DO SLEEP(600)'"
    ((number,),) = server.query(sleeping)
    networks = server.container.inspect["NetworkSettings"]["Networks"]
    assert set(networks) == {"quayside-database-quay", "quayside-database-dock"}
    address = networks["quayside-database-dock"]["IPAddress"]
    reached = f"import socket; print(len(socket.create_connection(('{address}', 3306), 5).recv(100)) > 20)"
    assert server.host.check_output("python3 -c %s", reached) == "True"
    assert runs.converge(changed).changes == []

    runs.converge()
    assert process() == before
    assert server.query(sleeping) == [[number]]
    server.query(f"KILL {number}")
    assert runs.converge().changes == []
    server.host.check_output("docker network rm quayside-database-dock")
