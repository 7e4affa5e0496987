"""Redis by its own protocol: who may do what, what it holds and for how long, and what a run says about its users."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from filter_plugins.secrets import derive_secret
from tests.support.runs import Runs, words
from tests.support.stack import Container, Stack

Ask = Callable[..., Any]

USERS = ("harbour", "market", "quay")
MAXMEMORY = 36 << 20
"""Three quarters of the container's 48 MiB."""
FILE = "/srv/harbour/quayside/secrets/redis/users.acl"


# --- Who gets in ------------------------------------------------------------------------------------------------------


def test_declared_passwords_log_in(ask: Ask, talk: Ask, passwords: dict[str, str]) -> None:
    """Exactly they: one character more or fewer does not. Each on its own network, and on any."""
    for user in USERS:
        assert ask(user, "PING", network=f"cache-{user}") == ["PONG"]
        password = passwords[user]
        for wrong in (password[:-1], password + "x", password.swapcase(), password.strip() + " ", ""):
            if wrong != password:
                assert talk((user, wrong), "PING")[0].startswith("-WRONGPASS"), (user, wrong)


def test_both_passwords_log_in_while_one_is_rotated(talk: Ask, passwords: dict[str, str]) -> None:
    """And no third one: side_effect.yml has added one, which the repair took away."""
    other = "the harbour master's next word"
    assert talk(("harbour", passwords["harbour"]), "PING") == ["OK", "PONG"]
    assert talk(("harbour", other), "PING") == ["OK", "PONG"]
    for login in (("harbour", other + "s"), ("harbour", "guessed"), ("quay", other)):
        assert talk(login)[0].startswith("-WRONGPASS"), login


def test_strangers_are_refused(talk: Ask, passwords: dict[str, str]) -> None:
    assert talk(None, "PING", "GET harbour:x", "INFO", "ACL WHOAMI") == ["-NOAUTH Authentication required."] * 4
    for login in (("default", ""), ("default", "x"), ("root", "x"), ("", ""), ("stranger", passwords["harbour"])):
        assert talk(login)[0].startswith("-WRONGPASS"), login
    # Nor with the password's hash, which is what the file holds.
    assert talk(("harbour", "0" * 64))[0].startswith("-WRONGPASS")


def test_only_its_networks_reach_it(server: Container, stack: Stack) -> None:
    ports = server.inspect["NetworkSettings"]["Ports"] or {}
    assert not any(ports.values())
    assert set(server.inspect["NetworkSettings"]["Networks"]) == {f"quayside-cache-{user}" for user in USERS}
    probe = "import socket; socket.create_connection(('127.0.0.1', 6379), 3)"
    assert stack.host.run("python3 -c %s", probe).rc != 0


# --- What they may do -------------------------------------------------------------------------------------------------


def test_a_cache_s_commands_work(ask: Ask) -> None:
    for user in USERS:
        key = f"{user}:group:key"
        assert ask(
            user,
            f"UNLINK {key} {key}s",
            f"SET {key} 5 EX 100 NX",
            f"SET {key} 6 NX",
            f"SET {key} 7 XX",
            f"MGET {key} {key}2",
            f"HSET {key}s one 1",
            f"HSETNX {key}s one 2",
            f"HMGET {key}s one two",
            f"HGETALL {key}s",
            f"WATCH {key}",
            "MULTI",
            f"SET {key} x",
            f"UNLINK {key}",
            "EXEC",
        ) == [
            0,
            "OK",
            None,
            "OK",
            ["7", None],
            1,
            0,
            ["1", None],
            ["one", "1"],
            "OK",
            "OK",
            "QUEUED",
            "QUEUED",
            ["OK", 1],
        ]


def test_other_users_keys_are_out_of_reach(ask: Ask) -> None:
    assert ask("market", "SET market:secret 1", "MGET market:secret") == ["OK", ["1"]], "control"
    refused = ask(
        "harbour",
        "MGET market:secret",
        "SET market:secret 2",
        "MGET harbour:x market:secret",
        "UNLINK market:secret",
        "UNLINK harbour:x market:secret",
        "HGETALL market:secret",
        "HSET market:secret 1 2",
        "WATCH market:secret",
        "MGET harbour",
        "MGET market",
        "MGET HARBOUR:x",
        "MGET health-check",
        ["MGET", ""],
    )
    assert [answer for answer in refused if not answer.startswith("-NOPERM")] == []
    assert len(refused) == 13
    # Nor with the commands of a plugin.
    refused = ask("market", "GET harbour:x", "DEL harbour:x", "MSET market:x 1 harbour:x 2", "INCRBY harbour:x 1")
    assert [answer for answer in refused if not answer.startswith("-NOPERM")] == []
    assert ask("market", "MGET market:secret", "UNLINK market:secret") == [["1"], 1]


FORBIDDEN = (
    "CONFIG GET *", "CONFIG SET maxmemory 0", "CONFIG REWRITE", "DEBUG SLEEP 0", "INFO", "GET harbour:x",
    "EXISTS harbour:x", "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "SCRIPT LOAD x", "EVAL x 0", "EVALSHA x 0",
    "FUNCTION LIST", "FCALL x 0", "ACL LIST", "ACL SETUSER harbour +@all", "ACL WHOAMI", "ACL LOAD", "CLIENT LIST",
    "CLIENT KILL TYPE normal", "SHUTDOWN", "SAVE", "BGSAVE", "BGREWRITEAOF", "MODULE LIST", "MONITOR", "SELECT 0",
    "SWAPDB 0 1", "SUBSCRIBE x", "PUBLISH x y", "REPLICAOF 192.0.2.1 6379", "SYNC",
    "MIGRATE 192.0.2.1 6379 harbour:x 0 1", "RENAME harbour:x harbour:y", "COPY harbour:x harbour:y",
    "DUMP harbour:x", "RANDOMKEY", "DBSIZE", "SLOWLOG GET", "LATENCY LATEST", "MEMORY STATS", "COMMAND LIST",
    "LPUSH harbour:x 1",
)  # fmt: skip


def test_everything_else_is_refused(ask: Ask) -> None:
    answers = dict(zip(FORBIDDEN, ask("harbour", *FORBIDDEN), strict=True))
    # That one nobody may use, whatever the rights.
    assert answers.pop("DEBUG SLEEP 0").startswith("-ERR DEBUG command not allowed")
    assert {command: answer for command, answer in answers.items() if not str(answer).startswith("-NOPERM")} == {}


def test_plugin_s_commands_are_for_those_who_need_them(ask: Ask) -> None:
    """And reach no further than its keys."""
    script = "return redis.call('{}', KEYS[1])"
    ask("harbour", "SET harbour:mine 1")
    answers = ask(
        "market",
        "SET market:script 5",
        ["EVAL", script.format("get"), "1", "market:script"],
        "ZADD market:set 1 one",
        ["EVAL", script.format("get"), "1", "harbour:mine"],
        ["EVAL", script.format("del"), "1", "harbour:mine"],
        ["EVAL", "return redis.call('flushall')", "0"],
        ["EVAL", "return redis.call('config', 'get', 'maxmemory')", "0"],
        "FLUSHDB",
        "KEYS *",
    )
    assert answers[:3] == ["OK", "5", 1]
    refusal = "NOPERM|ACL failure|can't run this command|is not allowed from script"
    assert [answer for answer in answers[3:] if not re.search(refusal, answer)] == []
    assert ask("harbour", "MGET harbour:mine") == [["1"]]
    assert "market:script" in ask("market", "SCAN 0 MATCH market:* COUNT 10000")[0][1]
    ask("market", "INCRBY market:script 1", "SETEX market:set 9 x", "DEL market:script", "DEL market:set")


def test_server_s_own_logins_can_do_little(ask: Ask) -> None:
    for user in ("health-check", "drift-check"):
        commands = (
            "GET harbour:x",
            "SET harbour:x 1",
            "FLUSHALL",
            "KEYS *",
            "ACL SETUSER x",
            "SHUTDOWN",
        )
        assert all(answer.startswith("-NOPERM") for answer in ask(user, *commands)), user


# --- What it holds ----------------------------------------------------------------------------------------------------


def setting(ask: Ask, name: str) -> str:
    """Ask the running server for a setting."""
    return str(ask("drift-check", f"CONFIG GET {name}")[0][1])


def test_server_has_the_declared_settings(ask: Ask, server: Container) -> None:
    assert setting(ask, "maxmemory") == str(MAXMEMORY)
    assert setting(ask, "maxmemory-policy") == "allkeys-lfu"
    assert setting(ask, "maxclients") == "44"
    assert setting(ask, "timeout") == "333"
    assert setting(ask, "save") == ""
    assert setting(ask, "appendonly") == "no"
    assert setting(ask, "databases") == "1"
    assert setting(ask, "maxmemory-samples") == "9"
    assert setting(ask, "appendfsync") == "always"
    assert server.inspect["HostConfig"]["Memory"] == 48 << 20
    assert server.inspect["Config"]["StopTimeout"] == 7


@pytest.mark.destructive
def test_there_is_an_end_of_connections(ask: Ask, server: Container, stack: Stack) -> None:
    """Asked of the last of 60; the first one is served. They close when the program ends."""
    server.forget()
    peer = server.inspect["NetworkSettings"]["Networks"]["quayside-cache-harbour"]["IPAddress"]
    program = (
        f"import socket; many = [socket.create_connection(('{peer}', 6379), 5) for _ in range(60)];"
        "many[0].sendall(b'PING\\r\\n'); print(many[0].recv(200), many[-1].recv(200))"
    )
    told = stack.host.check_output("python3 -c %s", program)
    assert re.fullmatch(r"b'-NOAUTH .*' b'-ERR max number of clients reached.*'", told), told
    assert ask("quay", "PING") == ["PONG"]


@pytest.mark.destructive
def test_full_cache_makes_room(ask: Ask, server: Container) -> None:
    """Three times as much as fits: the server lives, old keys go, what is used often stays, new ones are taken."""
    server.forget()
    started = server.state["StartedAt"]
    ask("harbour", "SET harbour:often x")
    ask("harbour", "MGET harbour:often", repeat=300)
    filling = [["SET", "harbour:fill:{}", "v" * 20_000]]
    assert ask("harbour", *filling, repeat=3 * MAXMEMORY // 20_000) == 0, "a write was refused"
    memory = dict(re.findall(r"(\w+):(\S+)", ask("market", "INFO memory")[0]))
    assert 0.7 * MAXMEMORY < int(memory["used_memory"]) < 1.05 * MAXMEMORY
    evicted = int(re.search(r"evicted_keys:(\d+)", ask("market", "INFO stats")[0])[1])  # type: ignore[index]
    assert evicted > MAXMEMORY // 20_000
    assert ask("harbour", "MGET harbour:often") == [["x"]]
    # In portions: an answer with all of them may be more than the server keeps for a connection.
    portions = [" ".join(f"harbour:fill:{n}" for n in range(start, start + 50)) for start in range(0, 500, 50)]
    assert any(None in ask("harbour", f"MGET {portion}")[0] for portion in portions)
    assert ask("harbour", "SET harbour:new y", "MGET harbour:new") == ["OK", ["y"]]
    server.forget()
    assert server.state["StartedAt"] == started
    assert server.state["OOMKilled"] is False


@pytest.mark.destructive
def test_nothing_is_kept(ask: Ask, server: Container) -> None:
    """A new start is an empty cache; nothing was written to a disk."""
    assert not [m for m in server.inspect["Mounts"] if m["Type"] == "volume"]
    assert ask("quay", "SET quay:lost x", "MGET quay:lost") == ["OK", ["x"]]
    server.host.check_output("docker restart %s", server.name)
    server.wait_for_health("healthy")
    assert ask("quay", "MGET quay:lost") == [[None]]


@pytest.mark.destructive
def test_persistence_keeps_it(ask: Ask, server: Container, runs: Runs) -> None:
    runs.converge('--extra-vars={"redis_persistence": true}')
    try:
        assert setting(ask, "appendonly") == "yes"
        assert setting(ask, "maxmemory") == str(24 << 20)
        assert ask("quay", "SET quay:kept x") == ["OK"]
        # Its own shutdown writes everything; a crash may lose the last second.
        server.host.check_output("docker restart %s", server.name)
        server.wait_for_health("healthy")
        assert ask("quay", "MGET quay:kept") == [["x"]]
        assert runs.converge('--extra-vars={"redis_persistence": true}').changes == []
        server.host.check_output("docker rm --force %s", server.name)
        runs.converge('--extra-vars={"redis_persistence": true}')
        assert ask("quay", "MGET quay:kept") == [["x"]]
    finally:
        runs.converge()
    assert ask("quay", "MGET quay:kept") == [[None]]


# --- Health -----------------------------------------------------------------------------------------------------------


@pytest.mark.destructive
def test_health_is_red_when_nobody_can_log_in(ask: Ask, server: Container, stack: Stack) -> None:
    """The server itself runs, and answers."""
    server.wait_for_health("healthy")
    declared = stack.host.file(FILE).content_string
    stack.host.check_output("sed -i 's/^user health-check on/user health-check off/' %s", FILE)
    try:
        assert ask("drift-check", "ACL LOAD") == ["OK"]
        server.wait_for_health("unhealthy")
        assert "WRONGPASS" in server.state["Health"]["Log"][-1]["Output"]
    finally:
        stack.host.check_output("sed -i 's/^user health-check off/user health-check on/' %s", FILE)
        assert stack.host.file(FILE).content_string == declared
        stack.host.check_output("chown 611:611 %s && chmod 0400 %s", FILE, FILE)
        assert ask("drift-check", "ACL LOAD") == ["OK"]
    server.wait_for_health("healthy")


def test_health_check_passes_no_secret_on(server: Container, passwords: dict[str, str]) -> None:
    """Neither in its arguments nor in an environment, of itself and of what it starts."""
    traced = server.host.run(
        "for i in $(seq 300); do"
        " for p in $(docker top quayside-redis -eo pid | tail -n +2); do"
        " cat /proc/$p/cmdline /proc/$p/environ 2>&- | tr '\\0' '\\n'; done;"
        " [ $i -gt 40 ] && break; done; true"
    ).stdout
    assert "redis-server" in traced
    assert passwords["health-check"] not in traced


# --- Users, passwords and networks change -----------------------------------------------------------------------------

OTHERS: dict[str, dict[str, Any]] = {
    "harbour": {"password": "the harbour master's own word", "other_password": "the harbour master's next word"},
    "market": {"password": "another word of the market", "extended": True},
    "pier": {"password": "the word of the pier"},
}
"""The first user as it is, the second one with another password, and a new one in place of the third."""
PREPARED = ("Prepare | Name what differed", "")
LOADED = ("Users | Name what differed", "")


def process(server: Container) -> tuple[str, str]:
    """Return which container it is, and since when it runs."""
    server.forget()
    return server.identifier, server.state["StartedAt"]


def extra(**variables: Any) -> str:
    """Write variables for ansible-playbook's command line."""
    return "--extra-vars=" + json.dumps(variables)


@pytest.mark.destructive
def test_users_and_networks_come_and_go_while_it_runs(
    talk: Ask, stay: Ask, runs: Runs, server: Container, stack: Stack, passwords: dict[str, str]
) -> None:
    """Who is as before notices nothing. What a former password or a former user had opened is closed."""
    assert runs.converge().changes == []
    before = process(server)
    connections = {user: stay(user, passwords[user]) for user in USERS}
    changed = extra(redis_users=OTHERS, redis_networks=[f"cache-{user}" for user in OTHERS])
    predicted = runs.converge("--check", changed).changed_items
    assert process(server) == before
    reported = runs.converge(changed).changed_items
    asked = {user: told() for user, told in connections.items()}

    joined = {("Prepare | Keep the networks", "quayside-cache-pier"), ("Run | Start the containers", "redis")}
    assert reported == predicted == {PREPARED, LOADED} | joined
    assert process(server) == before
    assert [asked[user][1] for user in ("harbour", "market", "quay")] == ["PONG", "closed", "closed"]
    assert min(times for times, _ in asked.values()) > 20, "control: they had asked for a while"
    networks = server.inspect["NetworkSettings"]["Networks"]
    assert set(networks) == {f"quayside-cache-{user}" for user in OTHERS}
    for user, declared in OTHERS.items():
        assert talk((user, declared["password"]), "PING", network=f"cache-{user}") == ["OK", "PONG"], user
    for user in ("market", "quay"):
        assert talk((user, passwords[user]))[0].startswith("-WRONGPASS"), user
    assert runs.converge(changed).changes == []

    runs.converge()
    assert process(server) == before
    for user in USERS:
        assert talk((user, passwords[user]), "PING", network=f"cache-{user}") == ["OK", "PONG"], user
    assert runs.converge().changes == []
    stack.host.check_output("docker network rm quayside-cache-pier")


# A server that locks the comparison out is tried below, rotated passwords in the scenario rotation.
@pytest.mark.thorough
@pytest.mark.destructive
@pytest.mark.parametrize(("user", "starts"), [("health-check", False), ("drift-check", True)])
def test_server_s_own_passwords_change(
    talk: Ask, runs: Runs, server: Container, installation_key: str, user: str, starts: bool
) -> None:
    """Without the login that compares a run can do no more than start the server again."""
    before = process(server)
    changed = extra(stack_secret_versions={f"redis/{user}": 2})
    predicted = runs.converge("--check", changed).changed_items
    assert process(server) == before
    assert runs.converge(changed).changed_items == predicted == {PREPARED, LOADED}
    identifier, started_at = process(server)
    assert identifier == before[0]
    assert (started_at != before[1]) is starts
    server.wait_for_health("healthy")
    assert talk((user, derive_secret(installation_key, f"redis/{user}", 2))) == ["OK"]
    assert talk((user, derive_secret(installation_key, f"redis/{user}")))[0].startswith("-WRONGPASS")
    assert runs.converge(changed).changes == []
    runs.converge()
    assert runs.converge().changes == []


@pytest.mark.thorough
@pytest.mark.destructive
def test_users_are_loaded_from_a_directory_that_was_made_again(
    talk: Ask, runs: Runs, server: Container, stack: Stack
) -> None:
    """The running server cannot see it, and starts again."""
    assert runs.converge().changes == []
    before = process(server)
    stack.host.check_output("rm -r %s", FILE.removesuffix("/users.acl"))
    changed = extra(redis_users=OTHERS)
    predicted = runs.converge("--check", changed).changed_items
    assert runs.converge(changed).changed_items == predicted == {PREPARED, LOADED}
    assert process(server)[0] == before[0]
    assert talk(("pier", "the word of the pier"), "PING") == ["OK", "PONG"]
    runs.converge()
    assert runs.converge().changes == []


# --- Drift ------------------------------------------------------------------------------------------------------------

DRIFT = [
    "user pirate: not declared, removed",
    "user default: switched on, needs no password, ~* added, +@all added, -@all missing: put right",
    "user harbour: 3 passwords, ~market:* added, +config added: put right",
    "user market: switched off: put right",
    "user quay: missing, added",
    # From then on the health check is red: the repair must not wait for it.
    "user health-check: switched off: put right",
    f'setting maxmemory: "0" -> "{MAXMEMORY}"',
    'setting maxmemory-policy: "noeviction" -> "allkeys-lfu"',
    'setting save: "60 1" -> ""',
    # Of redis_extra_config, of the role's own file, and of neither.
    'setting maxmemory-samples: "3" -> "9"',
    'setting appendfsync: "no" -> "always"',
    'setting notify-keyspace-events: "AKE" -> ""',
]
"""What a run says about what side_effect.yml did: all of it, and nothing else."""


@pytest.mark.usefixtures("sequence")
def test_repair_names_each_change_and_no_other(runs: Runs) -> None:
    output = runs.output().rpartition("PLAY [Create]")[2]
    text = re.sub(r"(?m)^\S+ \S+ p=\d+ u=\S+ n=\S+ \w+\| ", "", output)
    reports = []
    for part in text.split("TASK [redis : Users | Name what differed]")[1:]:
        body = part.partition("\nTASK [")[0].partition("\nPLAY RECAP")[0]
        if found := re.findall(r"(?m)^    - (.*(?:\n      .*)*)", body):
            reports.append([re.sub(r"\s+", " ", line).strip("'") for line in found])
    assert reports[:2] == [sorted_like(DRIFT, reports[0])] * 2


def sorted_like(wanted: list[str], found: list[str]) -> list[str]:
    """Return the wanted lines in the order of the found ones; those that are not there come last."""
    return sorted(wanted, key=lambda line: found.index(line) if line in found else len(found))


@pytest.mark.destructive
def test_running_server_is_repaired_without_a_new_start(
    ask: Ask, talk: Ask, runs: Runs, server: Container, stack: Stack
) -> None:
    """What it holds survives the repair."""
    server.forget()
    before = (server.identifier, server.state["StartedAt"])
    ask("harbour", "SET harbour:survives x")
    stack.host.check_output("cp -p %s /root/declared.acl", FILE)
    stack.host.check_output("echo 'user intruder on nopass ~* +@all' >> %s", FILE)
    assert ask("drift-check", "ACL LOAD", "CONFIG SET maxmemory 77mb") == ["OK", "OK"]
    stack.host.check_output("cp -p /root/declared.acl %s", FILE)
    assert talk(("intruder", ""), "GET harbour:survives")[1] == "x", "control"
    predicted = runs.converge("--check")
    assert [change["task"] for change in predicted.changes] == ["Users | Name what differed"]
    assert talk(("intruder", ""), "PING")[0] == "OK", "a check run has changed something"
    assert runs.converge().changed_items == predicted.changed_items
    assert talk(("intruder", ""))[0].startswith("-WRONGPASS")
    assert setting(ask, "maxmemory") == str(MAXMEMORY)
    assert ask("harbour", "MGET harbour:survives") == [["x"]]
    server.forget()
    assert (server.identifier, server.state["StartedAt"]) == before
    assert runs.converge().changes == []


# One goes in the sequence of this scenario (DRIFT).
@pytest.mark.thorough
@pytest.mark.destructive
def test_foreign_password_goes_while_one_is_rotated(ask: Ask, talk: Ask, runs: Runs, stack: Stack) -> None:
    """A foreign one beside the two, and one in the place of the second."""
    for third, change in ((">guessed", "3 passwords"), ("resetpass >guessed >another", "another password")):
        stack.host.check_output("cp -p %s /root/declared.acl", FILE)
        stack.host.check_output("sed -i '/^user drift-check /s/acl|list/acl|list +acl|setuser/' %s", FILE)
        # Two connections: the server closes those of a user whose rights have changed.
        assert ask("drift-check", "ACL LOAD") == ["OK"]
        assert ask("drift-check", ["ACL", "SETUSER", "harbour", *third.split()]) == ["OK"]
        stack.host.check_output("cp -p /root/declared.acl %s", FILE)
        assert talk(("harbour", "guessed"), "PING")[0] == "OK", "control"
        result = runs.play()
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"user harbour: {change}: put right" in words(result)
        assert talk(("harbour", "guessed"))[0].startswith("-WRONGPASS")
        assert talk(("harbour", "the harbour master's next word"), "PING") == ["OK", "PONG"]
        assert runs.converge().changes == []


@pytest.mark.destructive
def test_lost_login_of_the_comparison_is_repaired(
    ask: Ask, talk: Ask, runs: Runs, server: Container, stack: Stack
) -> None:
    """Somebody has locked the playbook out: the server starts again with what is declared."""
    stack.host.check_output("cp -p %s /root/declared.acl", FILE)
    stack.host.check_output("sed -i '/^user drift-check /d' %s", FILE)
    assert ask("drift-check", "ACL LOAD") == ["OK"]
    stack.host.check_output("cp -p /root/declared.acl %s", FILE)
    assert talk(("drift-check", "x"))[0].startswith("-WRONGPASS")
    server.forget()
    before = server.identifier
    assert runs.converge().changes
    assert setting(ask, "maxmemory") == str(MAXMEMORY)
    server.forget()
    assert server.identifier == before
    assert runs.converge().changes == []
