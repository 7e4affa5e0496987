"""The sites' object caches: whose drop-in is where, who reaches the server, and that no run believes a cache."""

from __future__ import annotations

import html
from typing import Any

import pytest

from tests.support.runs import Runs
from tests.support.stack import Stack

Site = Any
TITLE = 'Käpt\'n "Blau" & Söhne \\ 100 %'
IMAGE = "/usr/local/lib/wordpress/object-cache.php"


def drop_in(site: Site) -> str:
    """Return where the site's drop-in lies."""
    return f"/srv/harbour/quayside/volumes/sites/{site.name}/wp-content/object-cache.php"


def title(site: Site) -> str:
    """Return the title that visitors see."""
    page = html.unescape(site.ask())
    return page.partition("<title>")[2].partition("</title>")[0]


def changed_sites(run: Any) -> int:
    """Count the sites that a run has changed (or would); their names are hidden, for secrets are at work."""
    assert {change["task"] for change in run.changes} <= {"Sites | Name what differed"}
    return len(run.changes)


def test_each_site_has_the_drop_in_that_it_declares(hafen: Site, laden: Site, brache: Site) -> None:
    built = hafen.container.run("cat", IMAGE).stdout
    host = hafen.stack.host
    assert host.file(drop_in(hafen)).content_string == built
    assert (host.file(drop_in(hafen)).uid, host.file(drop_in(hafen)).mode) == (613, 0o644)
    for site in (laden, brache):
        assert not host.file(drop_in(site)).exists, site.name
        assert site.wordpress("(bool) wp_using_ext_object_cache()") is False
    assert hafen.wordpress("wp_using_ext_object_cache()") is True


def test_each_site_knows_its_own_server(hafen: Site, laden: Site, brache: Site) -> None:
    assert hafen.wordpress("[PRESSDOCK_CACHE['user'], PRESSDOCK_CACHE['prefix'], defined('WP_REDIS_HOST')]") == [
        "hafen", "hafen:", False,
    ]  # fmt: skip
    assert brache.wordpress("[defined('PRESSDOCK_CACHE'), WP_REDIS_PREFIX, WP_REDIS_PASSWORD[0]]") == [
        False, "brache:", "brache",
    ]  # fmt: skip
    assert laden.wordpress("[defined('PRESSDOCK_CACHE'), defined('WP_REDIS_HOST')]") == [False, False]


CONNECT = "exit(@fsockopen($argv[1], 6379, $n, $m, 2) ? 0 : 1);"


def test_server_is_reached_by_those_who_use_it_alone(hafen: Site, laden: Site, brache: Site, stack: Stack) -> None:
    server = stack.container("redis")
    server.forget()
    addresses = [n["IPAddress"] for n in server.inspect["NetworkSettings"]["Networks"].values()]
    # The first network is the server's alone.
    assert len(addresses) == 3
    assert all(site.container.run("php", "-r", CONNECT, "redis").rc == 0 for site in (hafen, brache))
    for container in (laden.container, stack.container("wordpress-cron"), stack.container("mariadb")):
        for target in ("redis", *addresses):
            reached = container.run("php" if "wordpress" in container.name else "true", "-r", CONNECT, target).rc == 0
            assert not reached or container.name.endswith("mariadb"), (container.name, target)


def test_a_plugin_s_settings_fit_the_server(brache: Site) -> None:
    """As the plugin Redis Object Cache uses them: login, its commands, a flush of its own keys."""
    flush = (
        "local c = 0 repeat local t = redis.call('SCAN', c, 'MATCH', 'brache:*') c = tonumber(t[1])"
        " for _, k in pairs(t[2]) do redis.call('del', k) end until c == 0 return 1"
    )
    assert brache.wordpress(
        "(function () { $r = new Redis(); $r->connect(WP_REDIS_HOST, WP_REDIS_PORT, WP_REDIS_TIMEOUT, null, 0,"
        " WP_REDIS_READ_TIMEOUT); $r->auth(WP_REDIS_PASSWORD); $k = WP_REDIS_PREFIX . 'hafen_:options:x';"
        " $other = function () use ($r) { try { return $r->set('hafen:x', 1); } catch (RedisException $e) {"
        " return strtok($e->getMessage(), ' '); } };"
        " return [$r->ping(), isset($r->info()['redis_version']), $r->set($k, 1, ['nx', 'ex' => 60]),"
        " $r->incrBy($k, 4), $r->setex($k . 2, 60, 'y'), $r->mget([$k, $k . 2]),"
        " $r->zAdd(WP_REDIS_PREFIX . 'hafen_:redis-cache:metrics', 1, 'm'),"
        f' $r->eval("{flush}"), $r->get($k), $other()]; }})()'
    ) == [True, True, True, 5, True, ["5", "y"], 1, 1, False, "NOPERM"]


@pytest.mark.destructive
def test_database_is_compared_though_the_cache_is_warm(hafen: Site, brache: Site, runs: Runs, stack: Stack) -> None:
    """Ours holds the old value. A plugin's is emptied after a change; a run neither touches nor loads its drop-in."""
    foreign = "<?php\n// Plugin Name: Fremder Cache\nif (PHP_SAPI === 'cli') { throw new Exception('loaded'); }\n"
    key = (
        "(function () { $r = new Redis(); $r->connect(WP_REDIS_HOST, WP_REDIS_PORT); $r->auth(WP_REDIS_PASSWORD);"
        " return $r->%s; })()"
    )
    assert TITLE in title(hafen)
    hafen.sql("UPDATE hafen_options SET option_value = 'Gekapert' WHERE option_name = 'blogname'")
    assert TITLE in title(hafen), "control: visitors see what the cache holds"
    assert brache.wordpress(key % "set(WP_REDIS_PREFIX . 'old', 'x')") is True
    assert brache.wordpress(key % "get(WP_REDIS_PREFIX . 'old')") == "x", "control"
    brache.sql("UPDATE hafen_options SET option_value = '9' WHERE option_name = 'posts_per_page'")
    path = drop_in(brache)
    stack.host.check_output("printf '%%s' %s > %s && chown --reference \"$(dirname %s)\" %s", foreign, path, path, path)
    try:
        assert changed_sites(runs.converge("--check")) == 2
        assert hafen.option("blogname") == "Gekapert"
        assert changed_sites(runs.converge()) == 2
        assert stack.host.file(drop_in(brache)).content_string == foreign
    finally:
        stack.host.check_output("rm %s", drop_in(brache))
    assert html.unescape(hafen.option("blogname")) == TITLE
    assert TITLE in title(hafen)
    assert brache.wordpress(key % "get(WP_REDIS_PREFIX . 'old')") is False


@pytest.mark.thorough
@pytest.mark.destructive
def test_stale_cache_is_found_and_flushed(hafen: Site, runs: Runs) -> None:
    """The database is as declared; what visitors see is not, and somebody logs in with a password that it has not."""
    spoil_title = "wp_cache_set('alloptions', ['blogname' => 'Altes Schild'] + wp_load_alloptions(), 'options')"
    spoil_user = (
        "(function () { $u = get_user_by('login', 'lotse')->data; $u->user_pass = md5('known to a stranger');"
        " return wp_cache_set($u->ID, $u, 'users'); })()"
    )
    assert hafen.wordpress(spoil_title) is True
    assert hafen.wordpress(spoil_user) is True
    assert "Altes Schild" in title(hafen), "control"
    assert changed_sites(runs.converge("--check")) == 1
    assert "Altes Schild" in title(hafen), "a check run has changed something"
    assert changed_sites(runs.converge()) == 1
    assert 'object cache: stale options: "blogname" -> "flushed"' in runs.output()
    assert 'object cache: stale users: "lotse" -> "flushed"' in runs.output()
    assert TITLE in title(hafen)
    assert not hafen.logs_in("lotse", "known to a stranger")


@pytest.mark.destructive
def test_site_works_without_its_server(hafen: Site, runs: Runs, stack: Stack) -> None:
    """And a run repairs the site all the same."""
    stack.host.check_output("docker pause quayside-redis")
    try:
        assert TITLE in title(hafen)
        hafen.sql("UPDATE hafen_options SET option_value = '77' WHERE option_name = 'posts_per_page'")
    finally:
        stack.host.check_output("docker unpause quayside-redis")
    runs.converge()
    assert hafen.option("posts_per_page") == "7"
    assert hafen.wordpress("get_option('posts_per_page')") == "7"
