"""Redis: the file of its users, the comparison with a running server, and what wiring and preflight say about them."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from filter_plugins import preflight, redis, wiring
from hostile import HOSTILE

ROLES = Path(__file__).resolve().parents[2] / "roles"
USERS: dict[str, dict[str, Any]] = {
    "shop": {"password": "of the shop", "keys": ["shop:*"], "commands": ["get", "set"]},
    "blog": {"password": "of the blog", "keys": ["blog:*"], "commands": ["get", "acl|list"]},
}
HASHES = {name: sha256(user["password"].encode()).hexdigest() for name, user in USERS.items()}
SETTINGS = {"maxmemory": 1048576, "save": "", "maxmemory-policy": "allkeys-lru"}
# As Redis 8 writes them, in its own order.
LISTED = [
    f"user blog on sanitize-payload #{HASHES['blog']} ~blog:* resetchannels -@all +get +acl|list",
    "user default off sanitize-payload resetchannels -@all",
    f"user shop on sanitize-payload #{HASHES['shop']} ~shop:* resetchannels -@all +get +set",
]
CONFIG = ["save", "", "maxmemory-policy", "allkeys-lru", "maxmemory", "1048576"]


def answer(listed: list[str] | None = None, config: list[str] | None = None, recorded: list[str] | None = None) -> str:
    """Write what redis-cli prints, and before it what it printed while the image was built."""
    documents = [recorded or [], "OK", LISTED if listed is None else listed, CONFIG if config is None else config]
    return "".join(json.dumps(document) + "\n" for document in documents)


def changed(line: str, old: str, new: str) -> list[str]:
    """Return the server's users with one changed."""
    lines = [text.replace(old, new) if text.startswith(f"user {line} ") else text for text in LISTED]
    assert lines != LISTED
    return lines


def test_file_holds_hashes_and_nothing_that_is_not_declared() -> None:
    assert redis.redis_acl(USERS).splitlines() == [
        "user default off resetpass resetkeys resetchannels -@all",
        f"user blog on #{HASHES['blog']} resetkeys ~blog:* resetchannels -@all +get +acl|list",
        f"user shop on #{HASHES['shop']} resetkeys ~shop:* resetchannels -@all +get +set",
    ]


@pytest.mark.parametrize("password", HOSTILE)
def test_hostile_passwords_leave_no_trace(password: str) -> None:
    text = redis.redis_acl({"blog": {"password": password, "keys": [], "commands": []}})
    assert len(text.splitlines()) == 2
    assert password not in text


def test_users_may_do_what_the_drop_in_does_and_no_more() -> None:
    """It names its commands itself; everybody may log in."""
    used = re.search(r"(?m)^ \* Commands: (.*)$", (ROLES / "wordpress/files/object-cache.php").read_text("utf-8"))
    assert used
    defaults = yaml.safe_load((ROLES / "redis/defaults/main.yml").read_text("utf-8"))
    assert {"auth", *defaults["redis_commands"]} == set(used[1].split())
    assert not set(defaults["redis_commands"]) & set(defaults["redis_extended_commands"])


def test_nothing_differs() -> None:
    found = redis.redis_differences(answer(), USERS, SETTINGS)
    assert found == {"commands": [], "changes": [], "restart": False}


@pytest.mark.parametrize(
    ("listed", "change"),
    [
        (changed("blog", " on ", " off "), "user blog: switched off: put right"),
        (changed("default", " off ", " on "), "user default: switched on: put right"),
        (changed("default", " off ", " off nopass "), "user default: needs no password: put right"),
        (changed("shop", HASHES["shop"], "0" * 64), "user shop: another password: put right"),
        (changed("shop", f"#{HASHES['shop']}", f"#{HASHES['shop']} #{'0' * 64}"), "user shop: 2 passwords: put right"),
        (changed("shop", "~shop:*", "~*"), "user shop: ~* added, ~shop:* missing: put right"),
        (changed("shop", "~shop:*", "~shop:* %R~blog:*"), "user shop: %R~blog:* added: put right"),
        (changed("shop", "resetchannels", "&*"), "user shop: &* added: put right"),
        (changed("shop", "-@all +get", "+@all +get"), "user shop: +@all added, -@all missing: put right"),
        (changed("shop", "+get", "-get"), "user shop: -get added, +get missing: put right"),
        (changed("shop", "+set", "+set +config|get"), "user shop: +config|get added: put right"),
        (changed("shop", " +set", ""), "user shop: +set missing: put right"),
        (changed("shop", "+set", "+set (~* +@all)"), "user shop: (~* +@all) added: put right"),
        ([*LISTED, "user pirate on nopass ~* &* +@all"], "user pirate: not declared, removed"),
        (LISTED[:2], "user shop: missing, added"),
    ],
)  # fmt: skip
def test_difference_of_a_user_is_named(listed: list[str], change: str) -> None:
    found = redis.redis_differences(answer(listed), USERS, SETTINGS)
    assert found["commands"][0] == "ACL LOAD"
    assert (found["changes"], found["restart"]) == ([change], False)


@pytest.mark.parametrize(
    ("listed", "closed"),
    [
        (changed("shop", HASHES["shop"], "0" * 64), ["shop"]),
        (changed("shop", f"#{HASHES['shop']}", f"#{HASHES['shop']} #{'0' * 64}"), ["shop"]),
        (changed("default", " off ", " on nopass "), ["default"]),
        # It has lost nothing that could have opened a connection.
        (changed("shop", f"#{HASHES['shop']}", ""), []),
        (changed("shop", "+set", "+set +config|get"), []),
        # The server closes these by itself; there are none yet.
        ([*LISTED, "user pirate on nopass ~* &* +@all"], []),
        (LISTED[:2], []),
    ],
)
def test_what_a_password_has_opened_is_closed_with_it(listed: list[str], closed: list[str]) -> None:
    """After the users are loaded, and nobody else's connections."""
    commands = ["ACL LOAD", *(f"CLIENT KILL USER {user}" for user in closed)]
    assert redis.redis_differences(answer(listed), USERS, SETTINGS)["commands"] == commands


def test_password_that_is_introduced_closes_nothing() -> None:
    rotated = USERS | {"shop": {**USERS["shop"], "other_password": "the next one of shop"}}
    found = redis.redis_differences(answer(), rotated, SETTINGS)
    assert found == {"commands": ["ACL LOAD"], "changes": ["user shop: 1 password: put right"], "restart": False}


def test_two_passwords_are_compared_as_well() -> None:
    """While one is rotated: a foreign one is noticed, and that one of the two is missing."""
    rotated = USERS | {"shop": {**USERS["shop"], "other_password": "the next one of shop"}}
    other = sha256(b"the next one of shop").hexdigest()
    exchanged = {"password": "the next one of shop", "other_password": USERS["shop"]["password"]}
    text = redis.redis_acl(rotated)
    assert f"#{HASHES['shop']}" in text
    assert f"#{other}" in text
    assert redis.redis_acl(rotated | {"shop": {**USERS["shop"], **exchanged}}) == text

    def changes(words: str) -> list[str]:
        listed = changed("shop", f"#{HASHES['shop']}", words)
        found: list[str] = redis.redis_differences(answer(listed), rotated, SETTINGS)["changes"]
        return found

    assert changes(f"#{other} #{HASHES['shop']}") == []
    assert changes(f"#{other}") == ["user shop: 1 password: put right"]
    assert changes(f"#{HASHES['shop']} #{'0' * 64}") == ["user shop: another password: put right"]
    assert changes(f"#{HASHES['shop']} #{other} #{'0' * 64}") == ["user shop: 3 passwords: put right"]


def test_order_and_redundant_words_are_no_difference() -> None:
    listed = [f"user shop on #{HASHES['shop']} ~shop:* -@all +set +get", *LISTED[:2]]
    assert redis.redis_differences(answer(listed), USERS, SETTINGS)["changes"] == []


def test_difference_of_a_setting_is_named() -> None:
    config = ["maxmemory", "0", "save", "3600 1", "maxmemory-policy", "allkeys-lru"]
    found = redis.redis_differences(answer(config=config), USERS, SETTINGS)
    assert found["changes"] == ['setting maxmemory: "0" -> "1048576"', 'setting save: "3600 1" -> ""']
    assert not found["restart"]
    assert found["commands"] == ['CONFIG SET maxmemory "1048576"', 'CONFIG SET save ""']


def test_operator_s_own_settings_are_left_alone_where_nothing_is_recorded() -> None:
    config = ["maxmemory", "7", "save", "", "maxmemory-policy", "allkeys-lru"]
    found = redis.redis_differences(answer(config=config), USERS, SETTINGS, "# mine\nMaxmemory 7\n")
    assert found["changes"] == []


RECORDED = ["appendfsync", "always", "notify-keyspace-events", "", "masterauth", "", "replicaof", "", "slaveof", ""]


def with_settings(**running: str) -> str:
    """Write the answer of a server that was recorded with some settings, and has them now, but for these."""
    recorded = dict(zip(RECORDED[::2], RECORDED[1::2], strict=True))
    now = recorded | {name.replace("_", "-"): value for name, value in running.items()}
    return answer(config=[*CONFIG, *(word for pair in now.items() for word in pair)], recorded=RECORDED)


def test_all_settings_are_compared_with_those_of_the_image() -> None:
    assert redis.redis_differences(with_settings(), USERS, SETTINGS)["changes"] == []
    found = redis.redis_differences(with_settings(appendfsync="no", notify_keyspace_events="KE\xe4"), USERS, SETTINGS)
    assert found == {
        "changes": ['setting appendfsync: "no" -> "always"', 'setting notify-keyspace-events: "KE\xe4" -> ""'],
        "commands": ['CONFIG SET appendfsync "always"', 'CONFIG SET notify-keyspace-events ""'],
        "restart": False,
    }


def test_replica_of_another_starts_again() -> None:
    """No CONFIG SET takes that back. The setting's former name says the same."""
    found = redis.redis_differences(with_settings(replicaof="pirate 1", slaveof="pirate 1"), USERS, SETTINGS)
    assert found == {"changes": ['setting replicaof: "pirate 1" -> ""'], "commands": [], "restart": True}


def test_passwords_among_the_settings_are_not_shown() -> None:
    (change,) = redis.redis_differences(with_settings(masterauth="a word"), USERS, SETTINGS)["changes"]
    assert change == 'setting masterauth: (a secret) -> ""'


def test_what_the_image_s_server_has_other_values_of_is_no_difference() -> None:
    recorded = ["port", "0", "dir", "/x", "aclfile", "", "appendonly", "no", "maxclients", "9", "logfile", "/x/log"]
    recorded += ["daemonize", "yes", "pidfile", "/run/x", "unixsocket", "/x/socket", "maxmemory", "7"]
    running = [*CONFIG, "port", "6379", "dir", "/data", "aclfile", "/run/secrets/users.acl", "appendonly", "yes"]
    running += ["maxclients", "8", "logfile", "", "daemonize", "no", "pidfile", "", "unixsocket", ""]
    found = redis.redis_differences(answer(config=running, recorded=recorded), USERS, SETTINGS | {"port": "6379"})
    assert found["changes"] == []


def test_operator_s_own_settings_are_those_of_the_image() -> None:
    config = ["maxmemory", "7", "save", "", "maxmemory-policy", "allkeys-lru", "maxmemory-samples", "3"]
    recorded = ["maxmemory", "8", "save", "", "maxmemory-policy", "allkeys-lru", "maxmemory-samples", "9"]
    extra = "# mine\nMaxmemory 8\nmaxmemory-samples 9"
    found = redis.redis_differences(answer(config=config, recorded=recorded), USERS, SETTINGS, extra)
    assert found["changes"] == ['setting maxmemory: "7" -> "8"', 'setting maxmemory-samples: "3" -> "9"']


@pytest.mark.parametrize("error", ["WRONGPASS invalid", "NOAUTH Authentication required.", "NOPERM User drift-check"])
def test_refused_login_asks_for_a_new_start(error: str) -> None:
    found = redis.redis_differences(f'error:"{error}"\n', USERS, SETTINGS)
    assert found["restart"]
    assert found["commands"] == []
    assert len(found["changes"]) == 1


@pytest.mark.parametrize("text", ["", "x", '"OK"\n', 'error:"LOADING Redis is loading the dataset in memory"\n'])
def test_unreadable_answers_are_refused(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="redis_differences"):
        redis.redis_differences(text, USERS, SETTINGS)


# --- Wiring -----------------------------------------------------------------------------------------------------------

SITES: dict[str, dict[str, Any]] = {
    "blog": {},
    "shop": {"object_cache": "plugin"},
    "closed": {"object_cache": "none"},
}
WORDS = {name: f"word of {name}" for name in SITES}


def test_each_site_that_uses_the_cache_has_a_user() -> None:
    assert wiring.cache_users(SITES, WORDS, "builtin", "redis") == {
        "blog": {"password": "word of blog", "extended": False},
        "shop": {"password": "word of shop", "extended": True},
    }
    assert list(wiring.cache_users(SITES, WORDS, "none", "redis")) == ["shop"]


def test_nobody_has_one_without_a_server() -> None:
    assert wiring.cache_users(SITES, WORDS, "builtin", "") == {}
    assert wiring.object_cache({}, "builtin", "") == "none"


# --- Preflight --------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "redis_memory": "64m",
    "redis_maxmemory": "",
    "redis_max_clients": 100,
    "redis_commands": ["get"],
    "redis_extended_commands": ["scan"],
    "wordpress_workers": 4,
    "wordpress_sites": {"blog": {}, "shop": {"workers": 8}},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"redis_maxmemory": "54m"},
        {"redis_maxmemory": "4m", "redis_memory": "16m"},
        {"redis_max_clients": 32},
        {"redis_commands": ["get", "client|id", "GET"]},
        # Wrong in itself: another rule says so.
        {"redis_memory": "much", "redis_max_clients": "many", "wordpress_sites": None},
    ],
)
def test_good_cache_is_accepted(changes: dict[str, Any]) -> None:
    assert preflight.redis_problems({**VALUES, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"redis_maxmemory": "64m"}, 'redis_maxmemory: "64m": must be at most 85 % of redis_memory (64m)'),
        ({"redis_maxmemory": "1m"}, 'redis_maxmemory: "1m": must be at least 4 MiB'),
        ({"redis_memory": "8m"}, 'redis_memory: "8m": must be at least 16 MiB'),
        ({"redis_max_clients": 31}, "redis_max_clients: 31: must be at least 32, for the sites' PHP workers"),
        ({"redis_commands": ["get ~*"]}, 'redis_commands: "get ~*": must be the name of a command'),
        ({"redis_commands": ["@all"]}, 'redis_commands: "@all": must be the name of a command'),
        ({"redis_commands": ["config|get"]}, 'redis_commands: "config|get": would let a site leave its own keys'),
        ({"redis_extended_commands": ["FLUSHALL"]}, 'redis_extended_commands: "FLUSHALL": would let a site leave'),
    ],
)
def test_bad_cache_is_refused(changes: dict[str, Any], problem: str) -> None:
    (found,) = preflight.redis_problems({**VALUES, **changes})
    assert found.startswith(problem)


@pytest.mark.parametrize("kind", ["builtin", "plugin"])
def test_site_cannot_ask_for_a_cache_that_is_switched_off(kind: str) -> None:
    sites = {"blog": {"object_cache": kind}, "shop": {"object_cache": "none"}, "rest": {}}
    assert preflight.cache_problems({"stack_redis": False, "wordpress_sites": sites}) == [
        f'wordpress_sites.blog.object_cache: "{kind}": stack_redis is false'
    ]
    assert preflight.cache_problems({"stack_redis": True, "wordpress_sites": sites}) == []
