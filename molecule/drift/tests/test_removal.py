"""A site taken out of the variables disappears; its data stays until somebody types its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.runs import PROJECT, Runs
from tests.support.stack import Stack

DESTROY = str(PROJECT / "playbooks/destroy.yml")
MARKET = "/srv/harbour/quayside/volumes/sites/market"


@pytest.fixture
def without_market(runs: Runs, tmp_path: Path) -> str:
    """Return the argument that takes the site market, the last one in the scenario's variables, out."""
    declared, found, _ = (runs.scenario / "vars/stack.yml").read_text(encoding="utf-8").partition("\n  market:\n")
    assert found
    file = tmp_path / "stack.yml"
    file.write_text(f"{declared}\n", encoding="utf-8")
    return f"--extra-vars=@{file}"


def databases(stack: Stack) -> set[str]:
    """Ask the server for its databases."""
    return set(stack.host.check_output("docker exec quayside-mariadb mariadb -NBe 'SHOW DATABASES'").split())


def named(stack: Stack, kind: str) -> str:
    """List what the engine has of the site."""
    return str(stack.host.check_output("docker %s ls --quiet --filter name=market", kind))


@pytest.mark.destructive
def test_site_goes_and_its_data_stays_until_destroyed(runs: Runs, stack: Stack, without_market: str) -> None:
    """Every step of a site's end, in order."""
    runs.converge()
    harbour = runs.engine_now()["quayside-wordpress-harbour"].identifier
    marker = f"{MARKET}/wp-content/uploads/kept.txt"
    stack.host.check_output("touch %s", marker)

    refused = runs.play(DESTROY, "--extra-vars=destroy_name=market")
    assert refused.returncode != 0
    assert "market is declared in wordpress_sites" in refused.stdout + refused.stderr

    predicted = runs.converge("--check", without_market).changed_items
    result = runs.play("converge.yml", without_market)
    assert result.returncode == 0, result.stdout + result.stderr
    removed = runs.all()[-1].changed_items
    assert removed == predicted
    assert ("Remove | Remove the undeclared containers", "quayside-wordpress-market") in removed
    assert "Kept, though nothing declares it any more: market" in result.stdout
    assert f"{MARKET}/wp-content, database wharf_market" in result.stdout
    assert named(stack, "container") == ""
    assert named(stack, "network") == ""
    assert runs.engine_now()["quayside-wordpress-harbour"].identifier == harbour
    assert not stack.host.file("/srv/harbour/quayside/secrets/wordpress-market").exists
    account = "SELECT COUNT(*) FROM mysql.user WHERE User = 'wharf_market'"
    assert stack.host.check_output("docker exec quayside-mariadb mariadb -NBe %s", account) == "0"
    # Kept, and nothing to do again.
    assert "wharf_market" in databases(stack)
    assert stack.host.file(marker).exists
    assert runs.converge(without_market).changes == []

    nameless = runs.play(DESTROY, without_market)
    assert "destroy_name is empty" in nameless.stdout + nameless.stderr
    unknown = runs.play(DESTROY, without_market, "--extra-vars=destroy_name=harbor")
    assert "Nothing of the name harbor is kept on instance. Kept is: market" in unknown.stdout + unknown.stderr
    checked = runs.play(DESTROY, without_market, "--extra-vars=destroy_name=market", "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "wharf_market" in databases(stack)
    assert stack.host.file(marker).exists

    destroyed = runs.play(DESTROY, without_market, "--extra-vars=destroy_name=market")
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert "wharf_market" not in databases(stack)
    assert "wharf_harbour" in databases(stack)
    assert not stack.host.file(MARKET).exists
    assert named(stack, "volume") == ""

    # Declared again it is a new site.
    runs.converge()
    assert not stack.host.file(marker).exists
    assert "wharf_market" in databases(stack)
    assert runs.converge().changes == []
