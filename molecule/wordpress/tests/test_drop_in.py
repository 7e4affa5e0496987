"""The object cache: the drop-in by itself against the site's Redis, and in the site as its visitors use it."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.stack import Container, Stack

# tests.conftest cannot be imported by a name that mypy would know.
Site = Any

FRONT_PAGE = """<?php
ob_start();
define('WP_USE_THEMES', true);
require '/usr/share/wordpress/wp-blog-header.php';
$page = ob_get_clean();
header('Content-Type: application/json');
echo json_encode(['queries' => $wpdb->num_queries, 'bytes' => strlen($page)] + $wp_object_cache->info());
"""
"""Shows the front page to nobody, and tells what it cost."""

SET_OPTION = """<?php
require '/usr/share/wordpress/wp-load.php';
echo json_encode(update_option($_GET['name'], $_GET['value']));
"""

HEALTH = "\\Pressdock\\test_object_cache()"


def wait_for(fact: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, f"after {seconds} s: {what}"
        time.sleep(0.3)


def wait_until_used(site: Site) -> None:
    """Wait until the site uses its cache: on a busy machine Redis may have been too slow a moment ago."""
    wait_for(lambda: bool(site.wordpress(HEALTH)["status"] == "good"), "the object cache is not used")


@pytest.fixture
def script(hafen: Site) -> Iterator[Callable[..., Any]]:
    """Return a function that has the site's FPM run a script, and returns what it says in JSON."""

    def run(code: str, query: str = "") -> Any:
        # Each has its own name: FPM's opcode cache looks at a file again only after some seconds.
        path = f"/tmp/cache-script-{zlib.crc32(code.encode())}.php"  # noqa: S108 -- of the container
        hafen.container.run("sh", "-c", f'printf %s "$1" > {path}', "sh", code)
        answer = hafen.ask(path, REQUEST_URI="/", QUERY_STRING=query)
        return json.loads(answer.partition("\r\n\r\n")[2])

    yield run
    hafen.container.run("sh", "-c", "rm /tmp/cache-script*.php")


@pytest.fixture
def redis(stack: Stack, hafen: Site) -> Iterator[Container]:
    """Return Redis's container; it is running, and used again, afterwards."""
    container = stack.container("redis")
    yield container
    for verb in ("unpause", "start"):
        stack.host.run(f"docker {verb} %s", container.name)
    wait_until_used(hafen)


def test_drop_in(stack: Stack, hafen: Site) -> None:
    """What WordPress and its plugins expect of it, with the rights that the site's own Redis user has."""
    copy = "docker exec --interactive %s sh -c 'cat > /tmp/cache_test.php' < /root/cache_test.php"
    stack.host.check_output(copy, hafen.container.name)
    result = hafen.container.run(
        "env", "PHP_DISABLED_FUNCTIONS=",
        "php", "/tmp/cache_test.php", "/run/secrets/site.php", "/usr/local/lib/wordpress/object-cache.php"  # noqa: S108
    )  # fmt: skip
    hafen.container.run("rm", "/tmp/cache_test.php")  # noqa: S108 -- of the container
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("\nok ") > 100


def test_site_uses_the_drop_in(hafen: Site) -> None:
    assert hafen.wordpress("[wp_using_ext_object_cache(), $wp_object_cache->info()['prefix']]") == [True, "hafen:"]
    wait_until_used(hafen)
    assert hafen.wordpress("$wp_object_cache->ping()") > 0


def test_front_page_needs_fewer_queries_the_second_time(hafen: Site, script: Callable[..., Any]) -> None:
    for _ in range(10):
        wait_until_used(hafen)
        hafen.wordpress("wp_cache_flush()")
        cold, _, warm = (script(FRONT_PAGE) for _ in range(3))
        # On a busy machine Redis may have been too slow for one of them; that is another test's matter.
        if cold["state"] == warm["state"] == "up":
            break
    assert (cold["state"], warm["state"]) == ("up", "up"), (cold, warm)
    assert warm["bytes"] > 10000
    assert cold["queries"] > 10
    assert warm["queries"] < cold["queries"] / 3, (cold, warm)
    assert warm["hits"] / (warm["hits"] + warm["misses"]) > 0.9, warm


def test_processes_see_each_others_changes(hafen: Site, script: Callable[..., Any]) -> None:
    """A change by the web in the command line's PHP, and back."""
    read = "get_option('cache_test')"
    wait_until_used(hafen)
    assert script(SET_OPTION, "name=cache_test&value=web") is True
    assert hafen.wordpress(read) == "web"
    assert hafen.wordpress("update_option('cache_test', 'line')") is True
    assert script(SET_OPTION, "name=cache_test&value=line") is False
    # The control: this way around the cache is not seen, so that it was the cache that answered.
    hafen.sql("UPDATE hafen_options SET option_value = 'sql' WHERE option_name = 'cache_test'")
    assert hafen.wordpress(read) == "line"
    hafen.wordpress("wp_cache_flush()")
    assert hafen.wordpress(read) == "sql"
    assert hafen.wordpress("delete_option('cache_test')") is True
    assert hafen.wordpress(read) is False


def test_site_health_tells_that_the_cache_works(hafen: Site) -> None:
    wait_until_used(hafen)
    result = hafen.wordpress(HEALTH)
    assert (result["status"], result["test"]) == ("good", "pressdock_object_cache"), result
    fields = hafen.wordpress("\\Pressdock\\object_cache_fields()")
    assert fields["state"]["value"] == "connected"
    assert "counts" in fields["groups"]["value"]
    password = hafen.wordpress("PRESSDOCK_CACHE['password']")
    assert password
    assert password not in json.dumps([result, fields])


@pytest.mark.destructive
@pytest.mark.parametrize("verb", ["stop", "pause"])
def test_pages_do_not_need_redis(
    verb: str, stack: Stack, hafen: Site, redis: Container, script: Callable[..., Any]
) -> None:
    """Gone with its name, and silent: the page is there, and Site Health tells."""
    script(FRONT_PAGE)
    stack.host.check_output(f"docker {verb} %s", redis.name)
    began = time.monotonic()
    broken = script(FRONT_PAGE)
    # Waiting for a name server that does not answer would take ten seconds.
    assert time.monotonic() - began < 8
    assert broken["state"] in {"down", "paused"}
    assert broken["bytes"] > 10000
    assert broken["queries"] > 10
    page = hafen.ask()
    assert "Status:" not in page.partition("\r\n\r\n")[0]
    assert hafen.wordpress(HEALTH)["status"] == "critical"


@pytest.mark.destructive
def test_nothing_outdated_after_an_outage(
    stack: Stack, hafen: Site, redis: Container, script: Callable[..., Any]
) -> None:
    """Redis keeps its values meanwhile, and one of them is changed where it cannot see it."""
    wait_until_used(hafen)
    script(SET_OPTION, "name=cache_test&value=before")
    assert hafen.wordpress("[get_option('cache_test'), wp_cache_set('sign', 1, 'cache_test')]") == ["before", True]
    stack.host.check_output("docker pause %s", redis.name)
    assert script(SET_OPTION, "name=cache_test&value=meanwhile") is True
    stack.host.check_output("docker unpause %s", redis.name)
    wait_until_used(hafen)
    assert hafen.wordpress("get_option('cache_test')") == "meanwhile"
    assert hafen.wordpress("wp_cache_get('sign', 'cache_test')") is False
    hafen.wordpress("delete_option('cache_test')")
