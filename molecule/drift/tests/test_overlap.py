"""PHP gets another setting for all sites while visitors ask: nobody gets an error, and who waits is answered."""

from __future__ import annotations

import json

import pytest

from tests.support.runs import Runs
from tests.support.sites import Site
from tests.support.stack import Stack
from tests.support.visitors import Visitors
from tests.support.visits import Plan

START = "Run | Start the containers"
DATA = "/srv/harbour/quayside"
PLUGIN = f"{DATA}/volumes/sites/harbour/wp-content/mu-plugins/slow.php"
SLOW_PAGE = """<?php
if (isset($_GET['slow'])) {
    sleep(25);
    exit('slept');
}
"""
SETTING = {"wordpress_max_input_vars": 5432}
"""It is part of WordPress's image. Of all other containers, the web server above all, none is replaced."""


def slow_request(site: Site) -> str:
    """Write the command that asks for a page of 25 s once the site's container is being replaced."""
    address = f"quayside-wordpress-{site.name}.quayside-web-{site.name}"
    return f"""
        for i in $(seq 900); do docker inspect {address} > /dev/null 2>&1 && break; sleep 0.1; done
        curl --silent --max-time 90 --cacert {DATA}/ca/ca.crt --resolve {site.domain}:{site.port}:127.0.0.1 \
            --write-out ' %{{http_code}}' '{site.url}/?slow=1'
    """


@pytest.mark.destructive
@pytest.mark.thorough
def test_no_request_fails_while_the_sites_are_replaced(runs: Runs, stack: Stack, sites: list[Site]) -> None:
    runs.converge()
    before = {name: one.identifier for name, one in runs.engine_now().items()}
    domains = [site.domain for site in sites]
    plan = Plan("127.0.0.1", sites[0].port, domains, f"{DATA}/ca/ca.crt", new=2, unique=True, patience=60)
    stack.host.check_output("mkdir -p $(dirname %s); printf %%s %s > %s", PLUGIN, SLOW_PAGE, PLUGIN)
    changed = "--extra-vars=" + json.dumps(SETTING)
    predicted = runs.converge("--check", changed).changed_items
    with Visitors(stack.host, plan) as those:
        stack.host.check_output("setsid sh -c %s > /root/slow.log 2>&1 < /dev/null &", slow_request(sites[0]))
        reported = runs.converge(changed).changed_items
    stack.host.check_output("rm %s", PLUGIN)

    assert those.result.failures == {}
    assert set(those.result.asked) == set(domains)
    assert sum(those.result.asked.values()) > 50
    slow = stack.host.file("/root/slow.log").content_string
    assert slow == "slept 200"
    replaced = {f"wordpress-{name}" for name in ("cron", *(site.name for site in sites))}
    built = ("Build | Start the builds", "wordpress")
    assert reported == predicted == {built, *((START, name) for name in replaced)}
    after = {name: one.identifier for name, one in runs.engine_now().items()}
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {f"quayside-{name}" for name in replaced}
    for site in sites:
        found = stack.container(f"wordpress-{site.name}").run("php", "-r", "echo ini_get('max_input_vars');")
        assert found.stdout == str(SETTING["wordpress_max_input_vars"])
    assert runs.converge(changed).changes == []
    runs.converge()
