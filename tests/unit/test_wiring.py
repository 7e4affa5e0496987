"""What group_vars/all/wiring.yml and the playbooks pass from one role to another."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from filter_plugins.wiring import cache_users, database_logins, kept_data

WIRING = Path(__file__).resolve().parents[2] / "group_vars/all/wiring.yml"


def test_other_password_is_there_while_one_is_rotated() -> None:
    passwords = {"blog": "one", "shop": "two"}
    assert database_logins(passwords, "wp_", {"shop": "three"}) == {
        "wp_blog": {"password": "one"},
        "wp_shop": {"password": "two", "other_password": "three"},
    }
    assert cache_users({"blog": {}, "shop": {}}, passwords, "builtin", "redis", {"blog": "three"}) == {
        "blog": {"password": "one", "other_password": "three", "extended": False},
        "shop": {"password": "two", "extended": False},
    }


@pytest.mark.parametrize(("role", "prefix"), [("mariadb", "database"), ("redis", "cache")])
def test_servers_keep_their_first_network_whatever_comes_and_goes(role: str, prefix: str) -> None:
    """The engine makes a container for its first network, and nobody else is on that one."""
    text = yaml.safe_load(WIRING.read_text(encoding="utf-8"))[f"{role}_networks"]

    def networks(*sites: str, adminer: bool) -> list[str]:
        variables = {"wordpress_sites": dict.fromkeys(sites), "redis_users": dict.fromkeys(sites)}
        templar = Templar(DataLoader(), variables={**variables, "stack_adminer": adminer})
        return list(templar.template(trust_as_template(text)))

    for sites in (["blog", "shop"], ["shop"], []):
        found = networks(*sites, adminer=False)
        assert found == [prefix, *(f"{prefix}-{site}" for site in sites)]
        assert networks(*sites, adminer=True)[: len(found)] == found


def test_kept_data_is_grouped_by_what_it_belonged_to() -> None:
    volumes = {
        "site-market": "/srv/s/sites/market/wp-content",
        "static-licence": "/srv/s/static/licence",
        "redis": "/r",
    }
    assert kept_data(volumes, ["wharf_market", "of_somebody"], "wharf_") == {
        "market": {"volumes": {"site-market": "/srv/s/sites/market/wp-content"}, "databases": ["wharf_market"]},
        "static/licence": {"volumes": {"static-licence": "/srv/s/static/licence"}, "databases": []},
        "volume/redis": {"volumes": {"redis": "/r"}, "databases": []},
        "database/of_somebody": {"volumes": {}, "databases": ["of_somebody"]},
    }
    assert kept_data({}, [], "wharf_") == {}


# Names that were once the same: whatever is meant by one of them, the others must outlive it.
ALIKE = [
    "market",
    "redis",
    "site-market",
    "static-market",
    "wharf_market",
    "database/market",
    "volume/redis",
    "market s",
]


@pytest.mark.parametrize("prefix", ["wharf_", "site", ""])
def test_only_a_site_s_own_volume_and_database_share_a_name(prefix: str) -> None:
    volumes = {name: f"/{name}" for kind, alike in product(("", "site-", "static-"), ALIKE) for name in [kind + alike]}
    databases = sorted({kind + alike for kind, alike in product(("", prefix), ALIKE)})
    kept = kept_data(volumes, databases, prefix)
    shared = {name: data for name, data in kept.items() if len(data["volumes"]) + len(data["databases"]) > 1}
    assert "market" in shared
    for site, data in shared.items():
        assert list(data["volumes"]) == [f"site-{site}"]
        assert data["databases"] == [f"{prefix}{site}"]
    # None is lost, and none stands twice.
    assert sorted(volume for data in kept.values() for volume in data["volumes"]) == sorted(volumes)
    assert sorted(database for data in kept.values() for database in data["databases"]) == databases
