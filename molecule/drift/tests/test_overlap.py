"""Both sites' containers are replaced while visitors ask for pages: nobody gets an error, and who waits is answered."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.support.runs import Runs
from tests.support.sites import Site
from tests.support.stack import Stack
from tests.support.visitors import WEB_VISITOR, Visitors

START = "Run | Start the containers"
DATA = "/srv/harbour/quayside"
PLUGIN = f"{DATA}/volumes/sites/harbour/wp-content/mu-plugins/slow.php"
SLOW_PAGE = """<?php
if (isset($_GET['slow'])) {
    sleep(25);
    exit('slept');
}
"""
PROCESSORS = 0.83
"""Another limit (wordpress_cpus): the containers are replaced, with the same image. Another image of WordPress replaces
the web server as well, which holds core's static files."""


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
    program = ["python3", "-c", WEB_VISITOR, f"{DATA}/ca/ca.crt", str(sites[0].port), "/root/enough"]
    stack.host.check_output("rm -f /root/enough; mkdir -p $(dirname %s); printf %%s %s > %s", PLUGIN, SLOW_PAGE, PLUGIN)
    changed = "--extra-vars=" + json.dumps({"wordpress_cpus": PROCESSORS})
    predicted = runs.converge("--check", changed).changed_items
    with Visitors(stack.host, shlex.join([*program, *(site.domain for site in sites)]), "touch /root/enough") as those:
        stack.host.check_output("setsid sh -c %s > /root/slow.log 2>&1 < /dev/null &", slow_request(sites[0]))
        reported = runs.converge(changed).changed_items
    stack.host.check_output("rm %s", PLUGIN)

    assert those.failed == 0, those.output
    assert set(those.words) == {site.domain for site in sites}
    assert those.asked > 50
    slow = stack.host.file("/root/slow.log").content_string
    assert slow == "slept 200"
    assert reported == predicted == {(START, f"wordpress-{site.name}") for site in sites}
    after = {name: one.identifier for name, one in runs.engine_now().items()}
    assert set(after) == set(before)
    assert {name for name in after if after[name] != before[name]} == {f"quayside-wordpress-{s.name}" for s in sites}
    for site in sites:
        limits = stack.container(f"wordpress-{site.name}").inspect["HostConfig"]
        assert limits["NanoCpus"] == PROCESSORS * 1e9
    assert runs.converge(changed).changes == []
    runs.converge()
