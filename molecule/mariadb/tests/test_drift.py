"""The repair named what side_effect.yml had done, all of it and nothing else, and kept what was not drift."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.runs import Runs

    from .conftest import Server

ALL = "ALTER, CREATE, DELETE, DROP, INDEX, INSERT, LOCK TABLES, REFERENCES, SELECT, UPDATE"
EXPECTED = {
    "account @%: not declared, dropped",
    "account intruder@%: not declared, dropped",
    "account root@%: not declared, dropped",
    "role captain: not declared, dropped",
    "account root@localhost: password login removed",
    "account dropped@%: created",
    f"account dropped@%: {ALL} granted",
    "account repassworded@%: password put right",
    "account rotated@%: password put right",
    "account overgranted@%: EXECUTE, TRIGGER revoked",
    "account granting@%: privileges beyond granting revoked",
    "account table_granted@%: privileges beyond table_granted revoked",
    "account global@%: privileges beyond global revoked",
    "account revoked@%: DELETE, INDEX granted",
    "account locked@%: unlocked",
    "database latin: character set latin1",
    "database vanished: created",
    "database collated: collation utf8mb4_german2_ci",
    "account proxied@%: proxy for 'root'@'localhost' revoked",
    "account delegating@%: privileges beyond delegating revoked",
    "account mariadb.sys@localhost: locked",
    'setting sync_binlog: "0" -> "1"',
    'setting innodb_flush_log_at_trx_commit: "2" -> "1"',
    'setting general_log: "ON" -> "OFF"',
    # Of mariadb_extra_config. Set to what it was, max_connections is no difference.
    'setting long_query_time: "10.000000" -> "4.500000"',
    'setting character_set_server: "latin1" -> "utf8mb4"',
    'setting collation_server: "latin1_swedish_ci" -> "utf8mb4_unicode_520_ci"',
}


def named(output: str) -> Counter[str]:
    """Count the differences that Ansible's output names: list items below `msg:`, wrapped lines joined."""
    joined = re.sub(r"\n {6,}(?!- |')", " ", output)
    return Counter(
        match["text"].replace("''", "'")
        for match in re.finditer(r"^\s*- '?(?P<text>(account|database|role|setting) .+?)'?$", joined, re.MULTILINE)
    )


@pytest.fixture(scope="module")
def after_drift(runs: Runs) -> str:
    """Return what was printed since the drift."""
    _, separator, output = runs.output().rpartition("PLAY [Drift]")
    if not separator or "PLAY [Converge]" not in output:
        pytest.skip("only after side_effect.yml and a converge")
    return output


def test_repair_names_exactly_what_differed(after_drift: str) -> None:
    assert set(named(after_drift)) == EXPECTED


def test_check_run_names_the_same(after_drift: str) -> None:
    """Twice each: predicted by the check run, done by the repair, and not a third time."""
    counts = named(after_drift)
    if after_drift.count("PLAY [Converge]") != 3:
        pytest.skip("only after a full `molecule test`")
    assert {name: count for name, count in counts.items() if count != 2} == {}


def test_what_was_not_drift_is_kept(server: Server, after_drift: str) -> None:
    assert after_drift
    assert server.query("SELECT line FROM wordpress_blog.kept", "--default-character-set=utf8mb4") == [
        ["kept, über alles"]
    ]
    assert server.query("SELECT User, Host FROM mysql.user WHERE User = 'reporting'") == [["reporting", "192.0.2.%"]]
    # A database is data: never dropped, declared or not.
    assert ["undeclared"] in server.query("SHOW DATABASES")
