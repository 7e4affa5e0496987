"""Networks of sites: their form for the reconciler, their names, and what is refused."""

from typing import Any

import pytest

from filter_plugins import multisite, preflight, wiring


def network(kind: Any = "subdirectory", sites: Any = None, **changes: Any) -> dict[str, Any]:
    """Return a site that is a network."""
    declared = {"type": kind, **({} if sites is None else {"sites": sites})}
    return {"domain": "blog.example.org", "multisite": declared, **changes}


def test_reconciler_s_form() -> None:
    site = network(sites={"harbour": {"title": 'The "harbour"'}})
    assert multisite.network_of(site, "2m") == {
        "type": "subdirectory",
        "upload_limit": 2 << 20,
        "sites": {"harbour": 'The "harbour"'},
    }
    assert multisite.network_of(network(), "1k") == {"type": "subdirectory", "upload_limit": 1024, "sites": {}}
    assert multisite.network_of({"domain": "blog.example.org"}, "1k") is None


def test_wildcard_is_that_of_sub_domains() -> None:
    assert multisite.wildcard(network("subdomain")) == ["*.blog.example.org"]
    assert multisite.wildcard(network()) == []
    assert multisite.wildcard({"domain": "blog.example.org"}) == []


def test_web_server_knows_what_a_site_adds() -> None:
    own = {"security_headers": {"X-A": "b"}, "extra_config": "location = /x { return 204; }"}
    found = wiring.nginx_sites({"a": {"domain": "a.example.org", **own}, "b": {"domain": "b"}}, "64m", "/s", 45, "quay")
    assert {key: found["a"][key] for key in own} == own
    assert not set(own) & set(found["b"])


def test_web_server_knows_networks_and_waits_for_php() -> None:
    sites = {"a": network("subdomain", max_execution_time=200), "b": {"domain": "b.example.org"}}
    found = wiring.nginx_sites(sites, "64m", "/srv/sites", 45, "quay")
    assert (found["a"]["multisite"], found["a"]["upstream_timeout"]) == ("subdomain", 260)
    assert "multisite" not in found["b"]
    assert found["b"]["upstream_timeout"] == 105


@pytest.mark.parametrize("name", ["harbour", "a", "2", "north-sea", "x" * 63])
@pytest.mark.parametrize("kind", ["subdirectory", "subdomain"])
def test_sub_sites_accepted(kind: str, name: str) -> None:
    assert multisite.multisite_problems("s", network(kind, {name: {"title": "Titel: \"'\\"}})) == []


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("Harbour", {"title": "x"}, "lower-case"),
        ("", {"title": "x"}, "lower-case"),
        ("a.b", {"title": "x"}, "lower-case"),
        ("a/b", {"title": "x"}, "lower-case"),
        ("-a", {"title": "x"}, "lower-case"),
        ("a'b", {"title": "x"}, "lower-case"),
        ("x" * 64, {"title": "x"}, "lower-case"),
        (5, {"title": "x"}, "lower-case"),
        ("feed", {"title": "x"}, "needs this path"),
        ("wp-admin", {"title": "x"}, "needs this path"),
        ("a", None, "must be a dict with a title"),
        ("a", {}, "must be a dict with a title"),
        ("a", "Title", "must be a dict with a title"),
        ("a", {"title": "x", "users": {}}, "must be a dict with a title"),
        ("a", {"title": " "}, "must be text that is not empty"),
        ("a", {"title": 5}, "must be text that is not empty"),
        ("a", {"title": "x\ny"}, "line breaks"),
    ],
)
def test_sub_sites_refused(name: Any, fields: Any, rule: str) -> None:
    (problem,) = multisite.multisite_problems("wordpress_sites.blog", network(sites={name: fields}))
    assert problem.startswith("wordpress_sites.blog.multisite.sites.")
    assert rule in problem


def test_paths_are_names_below_a_domain() -> None:
    assert multisite.multisite_problems("s", network("subdomain", {"feed": {"title": "x"}})) == []


@pytest.mark.parametrize(("domain", "rule"), [("localhost", "a domain with a dot"), ("www.example.org", "without www")])
def test_domains_without_sub_domains(domain: str, rule: str) -> None:
    (problem,) = multisite.multisite_problems("s", network("subdomain", domain=domain))
    assert rule in problem
    assert multisite.multisite_problems("s", network(domain=domain)) == []


@pytest.mark.parametrize("declared", [None, {}, "subdomain", [], {"type": None}, {"type": "x", "sites": []}])
def test_wrong_types_are_others_business(declared: Any) -> None:
    assert multisite.multisite_problems("s", {"domain": "blog.example.org", "multisite": declared}) == []


def test_other_sites_below_a_network_of_sub_domains() -> None:
    sites = {
        "blog": network("subdomain", {"harbour": {"title": "x"}}, aliases=["www.blog.example.org"]),
        "shop": {"domain": "shop.example.org", "aliases": ["blog.example.com"]},
    }
    assert multisite.between_problems(sites) == []
    sites["shop"]["domain"] = "shop.blog.example.org"
    (problem,) = multisite.between_problems(sites)
    assert problem.startswith(
        "wordpress_sites.shop: shop.blog.example.org: lies below blog.example.org, the network blog"
    )
    sites["shop"] = {"domain": "shop.example.org", "aliases": ["a.b.blog.example.org"]}
    assert "a.b.blog.example.org" in multisite.between_problems(sites)[0]
    sites["blog"] = network("subdirectory")
    assert multisite.between_problems(sites) == []
    sites["blog"] = network("subdomain", {"www": {"title": "x"}}, aliases=["www.blog.example.org"])
    del sites["shop"]
    assert multisite.between_problems(sites) == [
        "wordpress_sites.blog.aliases: www.blog.example.org: is the address of a sub-site"
    ]


def test_preflight_asks() -> None:
    site = {
        **network("subdomain", {"A": {"title": "x"}}),
        "title": "x",
        "administrator": {"login": "owner", "email": "owner@example.org"},
        "users": {"author": {"email": "author@example.org", "role": "author"}},
    }
    assert ["multisite.sites.A" in problem for problem in preflight.site_problems({"blog": site})] == [True]
