"""Tools behind a login: routes, passwords, the rate of guesses, and what reaches the tool."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.support.runs import Runs
from tests.support.sites import declared_variables
from tests.support.stack import Container, Stack
from tests.support.web import Answer, Web

SERVICES = declared_variables(Path(__file__).parents[1])["nginx_services"]
DESK = ("--user", f"keeper:{SERVICES['desk']['password']}")
METER = ("--user", f"reader:{SERVICES['meter']['password']}")
TOOLS = "tools.example.test"
GUESSER, OTHER, WORKER = "198.51.100.10", "198.51.100.11", "198.51.100.12"
BURST = 4


def cookie(answer: Answer) -> str:
    """Return the cookie of an answer, as a client sends it."""
    return answer.headers["set-cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def known(web: Web) -> tuple[str, ...]:
    """Log in to both tools; return what makes curl a client that has."""
    desk, meter = web.get("/back/desk/", *DESK), web.get("/meter/", *METER, domain=TOOLS)
    assert (desk.status, meter.status) == (200, 200)
    return ("--cookie", f"{cookie(desk)}; {cookie(meter)}")


def test_password_opens(web: Web, known: tuple[str, ...]) -> None:
    """FastCGI on the first site, HTTP on a host of its own; every path below the declared one, whatever its ending."""
    for path in ("/back/desk/", "/back/desk/x.php", "/back/desk/a/.b", "/back/desk/?a=b"):
        answer = web.get(path, *DESK, *known)
        assert (answer.status, answer.headers["x-responder"]) == (200, "one")
        assert answer.parameters["SCRIPT_FILENAME"] == "/srv/desk/index.php"
        assert answer.parameters["REQUEST_URI"] == path
    for path in ("/meter/", "/meter/metrics", "/meter/api/v1.3/x?y=z", "/meter/static/x.js"):
        answer = web.get(path, *METER, *known, domain=TOOLS)
        assert (answer.status, answer.headers["x-responder"]) == (200, "meter")
        assert answer.parameters["FIRST"].startswith(f"GET {path} HTTP/1.1")


@pytest.mark.parametrize("path", ["/meter/", "/meter/metrics", "/meter/api/v1.3/containers", "/meter/x/../metrics"])
def test_nothing_without_the_password(web: Web, known: tuple[str, ...], path: str) -> None:
    """Not even with the cookie; nor with another tool's password, a wrong name, or the hash."""
    for arguments in ((), ("--user", "reader:wrong"), DESK, ("--user", METER[1].replace("reader", "root"))):
        answer = web.get(path, *arguments, *known, domain=TOOLS)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Basic realm="meter"'
        assert "x-responder" not in answer.headers
        assert "set-cookie" not in answer.headers
    assert web.get(path, *METER, *known, domain=TOOLS).status == 200


def test_paths_without_their_slash(web: Web) -> None:
    answer = web.get("/back/desk?x=y")
    assert (answer.status, answer.headers["location"]) == (308, "/back/desk/?x=y")
    assert "set-cookie" not in answer.headers
    # What only looks alike is the site's.
    assert web.get("/back/desks/").parameters["SCRIPT_FILENAME"] == "/usr/share/wordpress/index.php"
    assert web.get("/meter/").parameters["SCRIPT_FILENAME"] == "/usr/share/wordpress/index.php"
    assert web.get("/anything", domain=TOOLS).status == 404


def test_each_host_has_its_own_certificate(web: Web) -> None:
    answer = web.get("/meter/", "--header", "Host: harbour.example.test:8444", domain=TOOLS)
    assert answer.status == 421
    assert web.get("/back/desk/", *DESK, "--header", f"Host: {TOOLS}:8444").status == 421


def test_tool_does_not_see_the_login(web: Web, known: tuple[str, ...]) -> None:
    forged = ("--header", "X-Forwarded-For: 192.0.2.1", "--header", "X-Forwarded-Prefix: /evil")
    desk = web.get("/back/desk/", *DESK, *known, *forged)
    meter = web.get("/meter/", *METER, *known, *forged, domain=TOOLS)
    for answer in (desk, meter):
        assert "authorization" not in answer.body.lower()
        assert "/evil" not in answer.body
        assert "192.0.2.1" not in answer.body
    assert desk.parameters["REMOTE_ADDR"] == web.address
    assert meter.parameters["x-forwarded-for"] == web.address
    assert meter.parameters["host"] == f"{TOOLS}:8444"
    assert meter.parameters["x-forwarded-proto"] == "https"


def test_headers(web: Web, known: tuple[str, ...]) -> None:
    for answer in (web.get("/back/desk/", *DESK, *known), web.get("/meter/", *METER, *known, domain=TOOLS)):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "expires" not in answer.headers
    # A file that the tool itself says never changes may stay in the browser.
    kept = web.get("/meter/?immutable", *METER, *known, domain=TOOLS)
    assert kept.headers["cache-control"] == "private, max-age=86400, immutable"
    assert "x-robots-tag" not in web.get("/").headers


def test_cookie_is_the_browsers_alone(web: Web) -> None:
    answer = web.get("/back/desk/", *DESK, source=WORKER)
    value, *attributes = answer.headers["set-cookie"].split("; ")
    assert re.fullmatch("pressdock_desk=[0-9a-f]{32}", value)
    assert set(attributes) == {"Path=/back/desk/", "Secure", "HttpOnly", "SameSite=Strict"}
    # Once is enough.
    assert "set-cookie" not in web.get("/back/desk/", *DESK, "--cookie", value, source=WORKER).headers


def test_guesses_are_limited_for_each_client(web: Web, known: tuple[str, ...]) -> None:
    """Right and wrong ones alike; who has logged in, and everybody else, is not concerned."""
    guesses = web.statuses(["/back/desk/"] * 8, "--user", "keeper:guess", source=GUESSER)
    assert guesses == ["401"] * (1 + BURST) + ["429"] * (7 - BURST)
    refused = web.get("/back/desk/", *DESK, source=GUESSER)
    assert (refused.status, refused.headers["retry-after"]) == (429, "60")
    assert "Too many attempts" in refused.body
    assert "set-cookie" not in refused.headers
    # A cookie that is not the right one does not help.
    for forged in ("pressdock_desk=", "pressdock_desk=" + "0" * 32, known[1].replace("pressdock_desk=", "x=")):
        assert web.get("/back/desk/", *DESK, "--cookie", forged, source=GUESSER).status == 429
    assert web.get("/back/desk/", *DESK, source=OTHER).status == 200
    assert web.get("/", source=GUESSER).status == 200
    # The same address, once it has logged in: as many requests as a page needs.
    assert web.statuses(["/back/desk/"] * 20, *DESK, *known, source=GUESSER) == ["200 php"] * 20
    assert web.statuses(["/back/desk/"] * 3, *known, source=GUESSER) == ["401"] * 3


def test_body_limit(web: Web, stack: Stack, known: tuple[str, ...]) -> None:
    """The service's own limit (1m) and the room for the form (1m)."""
    stack.host.check_output("head -c 2000000 /dev/zero > /root/fits && head -c 2100000 /dev/zero > /root/large")
    fits = web.get("/back/desk/", *DESK, *known, "--data-binary", "@/root/fits")
    assert (fits.status, fits.parameters["BODY"]) == (200, "2000000")
    assert web.get("/back/desk/", *DESK, *known, "--data-binary", "@/root/large").status == 413


def test_secrets_are_files_of_the_server(nginx: Container, stack: Stack) -> None:
    """Neither passwords nor the cookie are part of the image; hashes are cheap enough for a check on every request."""
    listed = nginx.run("sh", "-c", "cd /run/secrets && stat -c '%n %a %u' *").stdout.splitlines()
    assert listed == [f"{name} 400 612" for name in ("desk.cookie", "desk.users", "meter.cookie", "meter.users")]
    value = nginx.run("cat", "/run/secrets/desk.cookie").stdout.split('"')[1]
    assert len(value) == 32
    assert nginx.run("grep", "-r", value, "/etc/nginx").rc == 1
    assert nginx.run("cat", "/run/secrets/desk.users").stdout.startswith("keeper:$2y$05$")
    assert {f"{stack.name}-tool-desk", f"{stack.name}-tool-meter"} <= set(nginx.inspect["NetworkSettings"]["Networks"])


def test_log_has_no_credentials(web: Web, nginx: Container) -> None:
    web.get("/meter/logged", *METER, domain=TOOLS, source=OTHER)
    for _ in range(50):
        if "/meter/logged" in (log := nginx.logs("200")):
            break
        time.sleep(0.1)
    assert "/meter/logged" in log
    for word in (METER[1].partition(":")[2], "keeper of the gauges", "Authorization", "Basic "):
        assert word not in log


@pytest.mark.destructive
def test_tool_that_is_away(web: Web, stack: Stack, known: tuple[str, ...]) -> None:
    try:
        stack.host.check_output("docker stop %s", f"{stack.name}-responder-meter")
        answer = web.get("/meter/", *METER, *known, domain=TOOLS)
        assert answer.status in {502, 504}
        assert "Back in a moment" in answer.body
    finally:
        stack.host.check_output("docker start %s", f"{stack.name}-responder-meter")
    deadline = time.monotonic() + 60
    while (status := web.get("/meter/", *METER, *known, domain=TOOLS).status) != 200 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert status == 200


@pytest.mark.destructive
def test_new_password_ends_the_old_one(web: Web, runs: Runs, known: tuple[str, ...]) -> None:
    """And the cookie of the old one."""
    changed = {**SERVICES, "meter": {**SERVICES["meter"], "password": "another word of the keeper"}}
    runs.converge("--extra-vars", json.dumps({"nginx_services": changed}))
    assert web.get("/meter/", *METER, domain=TOOLS, source=WORKER).status == 401
    answer = web.get("/meter/", "--user", "reader:another word of the keeper", *known, domain=TOOLS, source=WORKER)
    assert answer.status == 200
    assert cookie(answer) not in known[1]
    runs.converge()
    assert web.get("/meter/", *METER, domain=TOOLS, source=WORKER).status == 200
