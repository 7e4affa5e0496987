"""What is taken out of the variables disappears: a site, an alias, a user. What they wrote stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.runs import PROJECT, Runs, words
from tests.support.sites import Login, Site
from tests.support.stack import Stack
from tests.support.wordpress import evaluate

DESTROY = str(PROJECT / "playbooks/destroy.yml")
MARKET = "/srv/harbour/quayside/volumes/sites/market"


@pytest.fixture
def declare(runs: Runs, tmp_path: Path) -> Callable[..., str]:
    """Return a function that gives the argument for the scenario's variables in other words."""

    def write(*replacements: tuple[str, str]) -> str:
        text = (runs.scenario / "vars/stack.yml").read_text(encoding="utf-8")
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / "stack.yml"
        file.write_text(text, encoding="utf-8")
        return f"--extra-vars=@{file}"

    return write


@pytest.fixture
def without_market(runs: Runs, declare: Callable[..., str]) -> str:
    """Return the argument that takes the site market, the last one in the scenario's variables, out."""
    _, found, market = (runs.scenario / "vars/stack.yml").read_text(encoding="utf-8").partition("\n  market:\n")
    return declare((found + market, "\n"))


def databases(stack: Stack) -> set[str]:
    """Ask the server for its databases."""
    return set(stack.host.check_output("docker exec quayside-mariadb mariadb -NBe 'SHOW DATABASES'").split())


def named(stack: Stack, kind: str) -> str:
    """List what the engine has of the site."""
    return str(stack.host.check_output("docker %s ls --quiet --filter name=market", kind))


def running(runs: Runs) -> dict[str, tuple[str, str]]:
    """Return which containers serve the other site, and since when: it is not to notice that one comes or goes."""
    now = runs.engine_now()
    needed = ("mariadb", "nginx", "redis", "wordpress-harbour")
    return {name: (now[f"quayside-{name}"].identifier, now[f"quayside-{name}"].started_at) for name in needed}


@pytest.mark.destructive
def test_site_goes_and_its_data_stays_until_destroyed(runs: Runs, stack: Stack, without_market: str) -> None:
    """Every step of a site's end, in order."""
    runs.converge()
    before = running(runs)
    marker = f"{MARKET}/wp-content/uploads/kept.txt"
    stack.host.check_output("touch %s", marker)
    # Somebody's own, of the site's name.
    stack.host.check_output("docker exec quayside-mariadb mariadb -e 'CREATE DATABASE market'")

    refused = runs.play(DESTROY, PRESSDOCK_DESTROY_NAME="market")
    assert refused.returncode != 0
    assert "market is declared in wordpress_sites" in words(refused)

    predicted = runs.converge("--check", without_market).changed_items
    result = runs.play("converge.yml", without_market)
    assert result.returncode == 0, result.stdout + result.stderr
    removed = runs.all()[-1].changed_items
    assert removed == predicted
    assert ("Remove | Remove the undeclared containers", "quayside-wordpress-market") in removed
    assert "Kept, though nothing declares it any more: market" in words(result)
    assert f"{MARKET}/wp-content, database wharf_market" in words(result)
    assert named(stack, "container") == ""
    assert named(stack, "network") == ""
    assert running(runs) == before
    assert not stack.host.file("/srv/harbour/quayside/secrets/wordpress-market").exists
    account = "SELECT COUNT(*) FROM mysql.user WHERE User = 'wharf_market'"
    assert stack.host.check_output("docker exec quayside-mariadb mariadb -NBe %s", account) == "0"
    # Kept, and nothing to do again.
    assert "wharf_market" in databases(stack)
    assert stack.host.file(marker).exists
    assert runs.converge(without_market).changes == []

    nameless = runs.play(DESTROY, without_market)
    assert "NAME is empty" in words(nameless)
    unknown = runs.play(DESTROY, without_market, PRESSDOCK_DESTROY_NAME="harbor")
    kept = re.search(r"Nothing of the name harbor is kept on instance\. Kept is: ([a-z/, ]*)\.", words(unknown))
    assert kept
    assert {"market", "database/market"} <= set(kept[1].split(", "))
    checked = runs.play(DESTROY, without_market, "--check", PRESSDOCK_DESTROY_NAME="market")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "wharf_market" in databases(stack)
    assert stack.host.file(marker).exists

    destroyed = runs.play(DESTROY, without_market, PRESSDOCK_DESTROY_NAME="market")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert "wharf_market" not in databases(stack)
    assert {"wharf_harbour", "market"} <= databases(stack)
    assert not stack.host.file(MARKET).exists
    assert named(stack, "volume") == ""

    others = runs.play(DESTROY, without_market, PRESSDOCK_DESTROY_NAME="database/market")
    assert others.returncode == 0, others.stdout + others.stderr
    assert databases(stack) & {"market", "wharf_market"} == set()

    # Declared again it is a new site.
    runs.converge()
    assert running(runs) == before
    assert not stack.host.file(marker).exists
    assert "wharf_market" in databases(stack)
    assert runs.converge().changes == []


@pytest.mark.thorough
@pytest.mark.destructive
def test_user_and_alias_go(runs: Runs, stack: Stack, sites: list[Site], declare: Callable[..., str]) -> None:
    """The user can do nothing until it is declared again; the alias has no certificate."""
    harbour = sites[0]
    host = harbour.url.removeprefix("https://")
    container = stack.container("wordpress-harbour")

    def logs_in(login: Login) -> bool:
        password = login.password.replace("\\", "\\\\").replace("'", "\\'")
        return not evaluate(container, f"is_wp_error(wp_authenticate('{login.name}', wp_slash('{password}')))", host)

    def roles(login: Login) -> list[str]:
        return list(evaluate(container, f"get_user_by('login', '{login.name}')->roles", host))

    def alias_answers() -> bool:
        alias = harbour.declared["aliases"][0]
        return bool(
            stack.host.run(f"curl -sk -o /dev/null --resolve {alias}:8444:127.0.0.1 https://{alias}:8444/").rc == 0
        )

    runs.converge()
    deckhand = harbour.users[0]
    assert logs_in(deckhand), "control"
    assert alias_answers(), "control"

    reduced = declare(
        ("    aliases: [www.harbour.example.test]\n", ""),
        ("      deckhand:\n        email: deckhand@", "      bosun:\n        email: bosun@"),
    )
    predicted = runs.converge("--check", reduced).changed_items
    result = runs.play("converge.yml", reduced)
    assert result.returncode == 0, result.stdout + result.stderr
    assert runs.all()[-1].changed_items == predicted
    assert "user deckhand" in words(result)
    container.forget()
    assert not logs_in(deckhand)
    assert roles(deckhand) == []
    assert roles(Login("bosun", "", "")) == [deckhand.role]
    assert not alias_answers()
    assert runs.converge(reduced).changes == []

    runs.converge()
    container.forget()
    assert logs_in(deckhand)
    assert roles(deckhand) == [deckhand.role]
    assert alias_answers()
    assert runs.converge().changes == []
