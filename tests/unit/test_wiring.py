"""What group_vars/all/wiring.yml and the playbooks pass from one role to another."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

import render
from filter_plugins.wiring import cache_users, database_logins, kept_data, network_mtu, own_names

WIRING = Path(__file__).resolve().parents[2] / "group_vars/all/wiring.yml"


def test_other_password_is_there_while_one_is_rotated() -> None:
    passwords = {"blog": "one", "shop": "two"}
    assert database_logins(passwords, "wp_", {"shop": "three"}) == {
        "wp_blog": {"password": "one"},
        "wp_shop": {"password": "two", "other_password": "three"},
    }
    sites: dict[str, dict[str, Any]] = {"blog": {}, "shop": {"database_privileges": ["TRIGGER"]}}
    assert database_logins(passwords, "wp_", None, sites) == {
        "wp_blog": {"password": "one"},
        "wp_shop": {"password": "two", "privileges": ["TRIGGER"]},
    }
    assert cache_users({"blog": {}, "shop": {}}, passwords, "builtin", "redis", {"blog": "three"}) == {
        "blog": {"password": "one", "other_password": "three", "extended": False},
        "shop": {"password": "two", "extended": False},
    }


def test_site_has_its_own_names_on_its_network() -> None:
    """Not those that must go on to lead to another server, nor those that no name server is asked for."""
    sites: dict[str, dict[str, Any]] = {
        "blog": {
            "domain": "Blog.Example.org",
            "aliases": ["www.blog.example.org", "relay.example.org", "blog.localhost"],
        },
        "shop": {"domain": "192.0.2.9", "aliases": ["redis", "2001:db8::9", "localhost"]},
        "net": {
            "domain": "mariadb",
            "multisite": {"type": "subdomain", "sites": {"crane": {}}},
            "aliases": ["relay.example.org", "wordpress-net"],
            "smtp": {"host": "other.example.org"},
        },
    }
    assert own_names(sites, ["mariadb:3306", "redis", ""], {"host": "Relay.example.org"}) == {
        "web-blog": ["blog.example.org", "www.blog.example.org"],
        "web-shop": [],
        "web-net": ["relay.example.org", "crane.mariadb"],
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


@pytest.mark.parametrize(
    ("declared", "interface", "mtu"),
    [
        (0, {}, 0), (0, {"mtu": 1500}, 0), (0, {"mtu": 9001}, 0), (0, {"mtu": 1499}, 1499), (0, {"mtu": 1420}, 1420),
        ("0", {"mtu": 1420}, 1420), (1400, {"mtu": 1420}, 1400), (9000, {"mtu": 1500}, 9000), ("1400", {}, 1400),
        # Each has a line of its own in the preflight.
        ("many", {}, 0), (None, {"mtu": None}, 0), (-5, {}, 0),
    ],
)  # fmt: skip
def test_packets_are_no_larger_than_the_way_outside(declared: Any, interface: dict[str, Any], mtu: int) -> None:
    assert network_mtu(declared, interface) == mtu


def test_packets_are_as_large_wherever_containers_send_them() -> None:
    """On networks of the stack, and on the engine's bridge."""
    wiring = yaml.safe_load(WIRING.read_text(encoding="utf-8"))
    names = ("container_network_mtu", "docker_bridge_mtu")
    for facts, mtu in (({"default_ipv4": {"interface": "eth0", "mtu": 1450}}, 1450), ({}, 0)):
        variables = {**{name: trust_as_template(wiring[name]) for name in names}, "ansible_facts": facts}
        loader = render.loader()
        templar = Templar(loader, variables={**variables, "stack_network_mtu": 0})
        assert [templar.template(variables[name]) for name in names] == [mtu, mtu]


@pytest.mark.parametrize(
    ("facts", "declared", "expected"),
    [
        ({"stack_ipv6": True}, "auto", True),
        ({"stack_ipv6": False}, True, False),
        # No preflight has decided.
        ({}, "auto", False),
        ({}, True, True),
        ({}, "true", True),
        ({}, False, False),
    ],
)
def test_all_of_the_stack_has_ipv6_or_nothing(facts: dict[str, Any], declared: Any, expected: bool) -> None:
    """Engine, networks that lead to published ports, and servers."""
    variables = {**render.variables("nginx", "defaults"), "ansible_facts": facts, "stack_ipv6": declared}
    templar = Templar(render.loader(), variables=variables)

    def value(name: str) -> Any:
        return templar.template(trust_as_template(f"{{{{ {name} }}}}"))

    assert [value(f"{role}_ipv6") for role in ("docker", "nginx", "ftp")] == [expected] * 3
    assert list(value("container_ipv6_networks")) == (["edge"] if expected else [])
    everywhere = ["0.0.0.0", "::"] if expected else ["0.0.0.0"]  # noqa: S104
    assert value("nginx_bind_address") == value("ftp_bind_address") == everywhere
    assert value("rotation_web_address") == "127.0.0.1"
    translating = {name: True for name in ("ip6tables", "experimental") if expected}
    assert {
        name: text for name, text in value("__docker_declared").items() if name in ("ip6tables", "experimental")
    } == (translating)


def test_networks_without_published_ports_do_without_ipv6() -> None:
    base = {**render.variables("nginx", "defaults"), "stack_ipv6": True, "ansible_facts": {}}

    def networks(**changes: Any) -> list[str]:
        templar = Templar(render.loader(), variables={**base, **changes})
        return list(templar.template(trust_as_template("{{ container_ipv6_networks }}")))

    assert networks(ftp_networks=["files"], stack_external_networks=["edge", "files", "outbound"]) == ["edge", "files"]
    assert networks(ftp_networks=["files"], stack_external_networks=["edge", "files"], stack_ftp=False) == ["edge"]
    assert networks(nginx_networks=["front", "web"], stack_external_networks=["front"]) == ["front"]


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
