"""The server loads what changes while it serves: the same container, the same process, and no request is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.runs import Runs, words
from tests.support.stack import Container, Stack
from tests.support.visitors import Visitors
from tests.support.visits import Plan
from tests.support.web import Web

PLACED, LOADED = ("Configuration | Name what differed", "nginx"), ("Reload | Load what is declared", "nginx")
SHIPPED = ("Contents | Name what differed", "core")
ISSUED = ("Certificates | Issue what is missing, broken or about to expire", "")
DATA = "/srv/harbour/quayside"
LOAD = "docker exec quayside-nginx sh -c 'kill -s HUP 1'"
CONFIGURATION = f"{DATA}/configuration/nginx"
Process = Callable[[], tuple[str, int, str]]

pytestmark = pytest.mark.destructive


@pytest.fixture
def process(stack: Stack, nginx: Container) -> Process:
    """Return a function that says which container serves, and which process is its first."""

    def ask() -> tuple[str, int, str]:
        nginx.forget()
        started = stack.host.check_output("cut -d ' ' -f 22 /proc/%s/stat", str(nginx.main_pid))
        return nginx.identifier, nginx.main_pid, started

    return ask


@pytest.fixture
def declared(runs: Runs) -> Callable[[str], Any]:
    """Return a function that reads a variable of the scenario, templates in it as they are."""

    class Loader(yaml.SafeLoader):
        """Takes `!unsafe` for text."""

    Loader.add_constructor("!unsafe", lambda _, node: str(node.value))
    values = yaml.load((runs.scenario / "group_vars/all.yml").read_text(encoding="utf-8"), Loader)  # noqa: S506

    return lambda name: json.loads(json.dumps(values[name]))


def as_variables(folder: Path, **variables: Any) -> str:
    """Write variables into a file, and return the argument for it: templates in their values are templates there."""
    file = folder / "variables.yml"
    file.write_text(yaml.safe_dump(variables, allow_unicode=True), encoding="utf-8")
    return f"--extra-vars=@{file}"


def converge_as_predicted(runs: Runs, *arguments: str) -> set[tuple[str, str]]:
    """Converge; what a check run says is what happens, and nothing is left to do. Returns what was reported."""
    predicted = runs.converge("--check", *arguments).changed_items
    reported = runs.converge(*arguments).changed_items
    assert reported == predicted
    assert runs.converge(*arguments).changes == []
    return reported


def test_stamp_is_answered_inside_alone(web: Web, nginx: Container) -> None:
    stamp = nginx.run("probe", "http-body", "127.0.0.1:8081", "/stamp").stdout.strip()
    assert len(stamp) == 32
    assert stamp not in web.get("/stamp").body


# A setting and a certificate are loaded under load below.
@pytest.mark.thorough
def test_another_setting_is_loaded(runs: Runs, web: Web, process: Process, tmp_path: Path) -> None:
    before = process()
    other = as_variables(tmp_path, nginx_static_max_age=321)
    assert converge_as_predicted(runs, other) == {PLACED, LOADED}
    assert web.get("/wp-includes/js/jquery.js").headers["cache-control"] == "public, max-age=321"
    assert runs.converge().changed_items == {PLACED, LOADED}
    assert web.get("/wp-includes/js/jquery.js").headers["cache-control"] == "public, max-age=654"
    assert process() == before


def test_another_core_is_loaded(runs: Runs, web: Web, stack: Stack, process: Process, tmp_path: Path) -> None:
    """Another image of what stands in for PHP replaces its containers, and never the server."""
    before = process()
    path = "/wp-admin/css/login.css"
    assert web.get(path).body == f"core {path[1:]}\n"
    replaced = {("Run | Start the containers", f"responder-{name}") for name in ("one", "two", "meter")}
    gone = ("Remove what nothing needs any more beside the service's contents", "")
    loaded = {SHIPPED, PLACED, LOADED, gone} | replaced
    other = as_variables(tmp_path, responder_core="another core")
    assert converge_as_predicted(runs, other) == loaded | {("Build | Start the builds", "responder")}
    assert web.get(path).body == f"another core {path[1:]}\n"
    # The former image is still there.
    assert runs.converge().changed_items == loaded
    assert web.get(path).body == f"core {path[1:]}\n"
    assert len(stack.host.check_output(f"ls -A {DATA}/volumes/core").split()) == 2, "one directory, and its record"
    assert process() == before


@pytest.mark.thorough
def test_core_is_repaired(runs: Runs, web: Web, stack: Stack, process: Process) -> None:
    """Edited while the server has the file open; and gone with its volume, which a container mounts when it starts."""
    path = "/wp-includes/js/jquery.js"
    body = f"core {path[1:]}\n"
    before = process()
    assert web.get(path).body == body
    stack.host.check_output(f"echo 'taken over' > \"$(find {DATA}/volumes/core -name jquery.js)\"")
    assert converge_as_predicted(runs) == {SHIPPED, LOADED}
    assert web.get(path).body == body
    assert process() == before
    stack.host.check_output(f"rm -r {DATA}/volumes/core")
    assert converge_as_predicted(runs) == {("Prepare | Name what differed", ""), SHIPPED, LOADED}
    assert web.get(path).body == body
    assert process()[0] == before[0]


# The drift suite edits a whole stack's configuration.
@pytest.mark.thorough
@pytest.mark.parametrize("loaded", [True, False])
def test_edited_file_is_repaired(runs: Runs, web: Web, stack: Stack, process: Process, loaded: bool) -> None:
    """Also where the server has loaded it, with a stamp that says nothing about it."""
    before = process()
    stack.host.check_output(f"sed -i 's/public, max-age=654/public, max-age=99/' {CONFIGURATION}/nginx.conf")
    if loaded:
        stack.host.check_output(f"{LOAD} && sleep 1")
        assert web.get("/wp-includes/js/jquery.js").headers["cache-control"] == "public, max-age=99"
    assert converge_as_predicted(runs) == {PLACED, LOADED}
    assert web.get("/wp-includes/js/jquery.js").headers["cache-control"] == "public, max-age=654"
    assert process() == before


def test_wrong_directive_is_refused_before_it_is_placed(web: Web, runs: Runs, process: Process) -> None:
    """In the server's own words; the one that runs is left as it is."""
    before = process()
    result = runs.play("converge.yml", "--extra-vars", json.dumps({"nginx_extra_http_config": "no_such_directive on;"}))
    assert result.returncode != 0
    # Ansible writes a message with quotation marks in a form of its own.
    said = " ".join(words(result).replace("\\n", " ").replace("\\", "").split())
    assert 'unknown directive "no_such_directive"' in said
    assert "What an operator writes in it is nginx_extra_http_config, nginx_extra_site_config, " in said
    assert process() == before
    assert web.get("/").status == 200
    assert runs.converge().changes == []


@pytest.mark.thorough
def test_what_the_server_cannot_load_is_told(
    runs: Runs, stack: Stack, web: Web, declared: Callable[[str], Any], tmp_path: Path
) -> None:
    """A judge cannot see everything, such as the addresses that others have taken: then it goes on with what it had."""
    further = declared("nginx_extra_http_config") + "server { listen 127.0.0.1:8099; }\n"
    taken = as_variables(tmp_path, nginx_extra_http_config=further)
    stack.host.check_output(
        "docker exec --detach quayside-nginx perl -MIO::Socket::INET -e %s",
        'my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8099", Listen => 1) or die; sleep 300',
    )
    try:
        result = runs.play("converge.yml", taken)
        assert result.returncode != 0
        assert "was told to load its configuration, and has not" in words(result)
        assert "Address already in use" in words(result)
        assert web.get("/").status == 200
    finally:
        stack.host.check_output("pkill --full 'perl -MIO::Socket::INET -e [m]y'")
    assert runs.converge().changed_items == {PLACED, LOADED}


@pytest.mark.thorough
def test_login_is_changed(
    runs: Runs, stack: Stack, process: Process, declared: Callable[[str], Any], tmp_path: Path
) -> None:
    """Password and cookie are secrets, not text: the old one is refused at once."""

    def answers(password: str) -> str:
        return str(
            stack.host.check_output(
                "curl --silent --output /dev/null --write-out '%%{http_code}' --connect-to ::198.51.100.1: --cacert"
                " /srv/harbour/authority/ca.crt --interface 198.51.100.9 --user %s https://tools.example.test:8444/meter/",
                f"reader:{password}",
            )
        )

    before = process()
    old, new = "the keeper of the gauges", "the keeper of other gauges"
    assert answers(old) == "200", "control"
    services = declared("nginx_services")
    # What this one is written with is for another test.
    services["desk"]["password"] = "a word of the harbour master"
    services["meter"]["password"] = new
    reported = converge_as_predicted(runs, as_variables(tmp_path, nginx_services=services))
    assert reported == {("Prepare | Name what differed", ""), LOADED}
    assert (answers(old), answers(new)) == ("401", "200")
    runs.converge()
    assert answers(old) == "200"
    assert process() == before


# The drift suite takes a site out of a whole stack and brings it back.
@pytest.mark.thorough
def test_site_comes_and_goes(
    runs: Runs, stack: Stack, web: Web, process: Process, declared: Callable[[str], Any], tmp_path: Path
) -> None:
    """With its network and its certificate: joined and loaded when it comes; taken out, then left when it goes."""
    before = process()
    sites = declared("nginx_sites")
    sites["late"] = {
        "domain": "late.example.test",
        "upstream": "responder-one:9000",
        "content": "/srv/places/late/wp-content",
    }
    other = as_variables(tmp_path, nginx_sites=sites, nginx_networks=[*declared("nginx_networks"), "web-late"])
    started = ("Run | Start the containers", "nginx")
    reported = converge_as_predicted(runs, other)
    assert reported == {ISSUED, PLACED, LOADED, started, ("Prepare | Keep the networks", "quayside-web-late")}
    assert web.get("/", domain="late.example.test").is_from_php
    assert process() == before
    gone = ("Remove the certificates that nothing needs any more", "late.pem")
    assert converge_as_predicted(runs) == {PLACED, LOADED, started, gone}
    assert "quayside-web-late" not in stack.host.check_output("docker inspect quayside-nginx")
    assert not stack.host.file(f"{DATA}/volumes/tls/late.pem").exists
    assert web.curl("https://late.example.test:8444/").rc != 0
    assert process() == before
    stack.host.check_output("docker network rm quayside-web-late")


@pytest.mark.thorough
def test_static_site_comes_and_goes(
    runs: Runs, stack: Stack, web: Web, process: Process, declared: Callable[[str], Any], tmp_path: Path
) -> None:
    """Its files stay, in a volume that has its name."""
    before = process()
    static = declared("nginx_static_sites")
    static["charts"] = {"path": "/charts/"}
    other = as_variables(tmp_path, nginx_static_sites=static)
    assert {PLACED, LOADED} <= converge_as_predicted(runs, other)
    stack.host.check_output(f"echo soundings > {DATA}/volumes/static/charts/index.html")
    assert web.get("/charts/").body == "soundings\n"
    assert converge_as_predicted(runs) == {PLACED, LOADED}
    assert web.get("/charts/index.html").is_from_php
    place = stack.host.check_output("docker volume inspect --format '{{.Options.device}}' quayside-static-charts")
    assert stack.host.file(f"{place}/index.html").content_string == "soundings\n"
    assert process() == before
    stack.host.check_output(f"docker volume rm quayside-static-charts && rm -r {place}")


def test_no_request_is_dropped(runs: Runs, stack: Stack, process: Process, tmp_path: Path) -> None:
    """While visitors ask without a pause: reloads by hand, one after the other, then those of runs."""
    before = process()
    stack.host.check_output(
        f"cd {DATA}/volumes/static/manual && head -c 40000000 /dev/zero > large.bin && echo manual > index.html"
    )
    plan = Plan(
        "198.51.100.1",
        8444,
        ["tools.example.test"],
        "/srv/harbour/authority/ca.crt",
        new=4,
        kept=4,
        slow=2,
        path="/manual/",
        slow_path="/manual/large.bin",
        contains="manual",
    )
    try:
        with Visitors(stack.host, plan) as visitors:
            stack.host.check_output(f"for i in $(seq 20); do {LOAD}; sleep 0.7; done")
            other = as_variables(tmp_path, nginx_static_max_age=380, certificates_days=380, certificates_renew_days=340)
            assert {ISSUED, PLACED, LOADED} <= runs.converge(other).changed_items
            runs.converge()
    finally:
        stack.host.check_output(f"rm {DATA}/volumes/static/manual/large.bin")
    assert visitors.result.failures == {}
    answered = visitors.result.answered
    assert min(answered["kept"], answered["new"]) > 100
    assert answered["slow"] >= 2
    assert process() == before
