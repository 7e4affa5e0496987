"""Which host serves which tool and which static site, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import nginx, preflight

SITES: dict[str, dict[str, Any]] = {
    "blog": {"domain": "blog.example.org", "aliases": ["www.example.org"]},
    "shop": {"domain": "shop.example.org"},
}
SERVICE: dict[str, Any] = {
    "protocol": "http",
    "upstream": "meter:8080",
    "domain": "",
    "path": "/meter/",
    "login": "operator",
    "password": "the keeper of the gauges",
}


def problems(
    services: dict[str, Any] | None = None, static: dict[str, Any] | None = None, *, wired: bool = True
) -> list[str]:
    """Apply the rules beside two sites."""
    values = {"wordpress_sites": SITES, "nginx_services": services or {}, "nginx_static_sites": static or {}}
    found: list[str] = nginx.route_problems(values, preflight.domain_problem, wired=wired)
    return found


def service(**changes: Any) -> dict[str, Any]:
    """Return the good service with some keys replaced; those set to `...` are removed."""
    return {key: value for key, value in {**SERVICE, **changes}.items() if value is not ...}


def test_routes() -> None:
    services = {
        "desk": service(path="/desk/"),
        "meter": service(domain="Tools.example.org"),
        "gauge": service(domain="shop.example.org", path="/gauge/"),
    }
    static: dict[str, dict[str, Any]] = {
        "docs": {
            "domain": "docs.example.org",
            "aliases": ["Manual.example.org"],
            "tls": {"certificate": "c", "key": "k"},
        },
        "press": {"path": "/press/"},
        "manual": {"domain": "tools.example.org", "path": "/manual/"},
    }
    found = nginx.routes(SITES, services, static)
    assert [entry["name"] for entry in found["sites"]["blog"]["services"]] == ["desk"]
    assert [entry["name"] for entry in found["sites"]["blog"]["static"]] == ["press"]
    assert [entry["name"] for entry in found["sites"]["shop"]["services"]] == ["gauge"]
    docs, tools = found["hosts"]
    assert (docs["name"], docs["domain"], docs["aliases"]) == (
        "static-docs",
        "docs.example.org",
        ["manual.example.org"],
    )
    assert docs["tls"] == {"certificate": "c", "key": "k"}
    assert docs["static"][0]["path"] == "/"
    assert (tools["name"], tools["domain"]) == ("tool-meter", "tools.example.org")
    assert [entry["path"] for entry in tools["services"] + tools["static"]] == ["/meter/", "/manual/"]


def test_without_a_site_a_domain_is_needed() -> None:
    with pytest.raises(AnsibleFilterError, match="meter: needs a domain"):
        nginx.routes({}, {"meter": SERVICE}, {})
    assert nginx.routes({}, {"meter": service(domain="tools.example.org")}, {})["hosts"]


@pytest.mark.parametrize(
    ("changes", "port", "url"),
    [
        ({}, 443, "https://blog.example.org/meter/"),
        ({}, 8443, "https://blog.example.org:8443/meter/"),
        ({"domain": "tools.example.org", "path": "/"}, 443, "https://tools.example.org/"),
    ],
)
def test_service_url(changes: dict[str, Any], port: int, url: str) -> None:
    assert nginx.service_url(service(**changes), SITES, port) == url


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"path": "/deep/er/"},
        {"domain": "tools.example.org", "path": "/"},
        {"domain": "shop.example.org"},
        {"protocol": "fastcgi", "script": "/usr/share/desk/index.php"},
        {"domain": "tools.example.org", "tls": {"certificate": "a.pem", "key": "a.key"}},
    ],
)
def test_services_accepted(changes: dict[str, Any]) -> None:
    assert problems({"meter": service(**changes)}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"path": "meter"}, "meter_path: 'meter': must be a path with a slash at both ends"),
        ({"path": "/meter"}, "meter_path: '/meter': must be"),
        ({"path": "/a/../b/"}, "meter_path: '/a/../b/': must be"),
        ({"path": "/a b/"}, "meter_path: '/a b/': must be"),
        ({"path": "/.hidden/"}, "meter_path: '/.hidden/': must be"),
        ({"path": '/a";return/'}, "meter_path: "),
        ({"path": 5}, "meter_path: 5: must be"),
        ({"path": "/"}, "meter_path: '/': blog.example.org belongs to wordpress_sites.blog.domain"),
        ({"path": "/wp-admin/"}, "meter_path: '/wp-admin/': addresses that begin with /wp- are WordPress's own"),
        ({"path": "/wp-content/x/"}, "meter_path: '/wp-content/x/': addresses"),
        ({"path": "/WP-json/"}, "meter_path: '/WP-json/': addresses"),
        (
            {"domain": "www.example.org"},
            "meter_domain: 'www.example.org': already used by wordpress_sites.blog.aliases",
        ),
        ({"domain": "192.0.2.1"}, "meter_domain: '192.0.2.1': must be a name, not an IP address"),
        ({"domain": "Tools"}, "meter_domain: 'Tools': must be lower-case"),
        ({"tls": {"certificate": "a", "key": "b"}}, "meter_tls: belongs to a host name of its own"),
        ({"domain": "tools.example.org", "tls": {"key": "b"}}, "meter_tls: needs certificate and key"),
        ({"login": "a:b"}, "meter_login: 'a:b': must be"),
        ({"login": ""}, "meter_login: '': must be"),
        ({"login": ...}, "meter_login: missing"),
        ({"upstream": "meter"}, "meter_upstream: 'meter': must be a name and a port"),
        ({"protocol": "ftp"}, "meter_protocol: 'ftp': must be http or fastcgi"),
        ({"protocol": "fastcgi"}, "meter_script: None: must be the absolute path of a PHP file"),
        ({"colour": "red"}, "meter_colour: unknown"),
    ],
)
def test_services_refused(changes: dict[str, Any], problem: str) -> None:
    (found,) = problems({"meter": service(**changes)})
    assert found.startswith(problem)
    assert "gauges" not in found


def test_services_that_are_not_wired_have_their_own_names() -> None:
    (found,) = problems({"meter": service(path="x")}, wired=False)
    assert found.startswith("nginx_services.meter.path: ")
    (found,) = problems({"Meter!": service()}, wired=False)
    assert "a name is 1 to 16 of a-z and 0-9" in found


@pytest.mark.parametrize(
    ("first", "second"),
    [("/x/", "/x/"), ("/x/", "/x/y/"), ("/x/y/", "/x/")],
)
@pytest.mark.parametrize("domain", ["", "tools.example.org"])
def test_paths_on_one_host_do_not_meet(first: str, second: str, domain: str) -> None:
    one, other = service(path=first, domain=domain), service(path=second, domain=domain)
    (found,) = problems({"meter": one, "gauge": other})
    assert "gauge_path" in found
    assert "collides with meter_path" in found
    assert problems({"meter": one, "gauge": {**other, "domain": "gauge.example.org"}}) == []
    (found,) = problems({"meter": one}, {"docs": {"domain": domain, "path": second}})
    assert found.startswith("nginx_static_sites.docs.path: ")


def test_paths_that_only_look_alike_do_not_meet() -> None:
    assert problems({"meter": service(path="/x/"), "gauge": service(path="/xy/")}) == []
    # On a host of its own the root may be somebody else's.
    host = {"domain": "tools.example.org"}
    assert problems({"meter": service(path="/x/", **host)}, {"docs": {"path": "/", **host}}) == []


def test_static_sites_accepted() -> None:
    docs = {
        "domain": "docs.example.org", "aliases": ["manual.example.org"], "source": "docs", "index": "start.html",
        "not_found": "deep/missing.html", "max_age": 0,
    }  # fmt: skip
    assert problems(static={"docs": docs, "press": {"path": "/press/"}, "news": {"domain": "news.example.org"}}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"path": "/"}, "nginx_static_sites.docs.path: '/': blog.example.org belongs to"),
        ({"aliases": ["a.example.org"]}, "nginx_static_sites.docs.aliases: belongs to a host name of its own"),
        ({"domain": "docs.example.org", "aliases": ["shop.example.org"]}, "nginx_static_sites.docs.aliases[0]: "),
        ({"domain": "docs.example.org", "aliases": ["docs.example.org"]}, "nginx_static_sites.docs.aliases[0]: "),
        ({"domain": "docs.example.org", "aliases": ["a_b"]}, "nginx_static_sites.docs.aliases[0]: 'a_b': must be"),
        ({"domain": "docs.example.org", "aliases": "a.example.org"}, "nginx_static_sites.docs.aliases: must be a list"),
        ({"index": "../x"}, "nginx_static_sites.docs.index: "),
        ({"index": "a;b"}, "nginx_static_sites.docs.index: "),
        ({"not_found": "/404.html"}, "nginx_static_sites.docs.not_found: "),
        ({"max_age": -1}, "nginx_static_sites.docs.max_age: -1: must be"),
        ({"max_age": True}, "nginx_static_sites.docs.max_age: True: must be"),
        ({"source": 5}, "nginx_static_sites.docs.source: 5: must be"),
        ({"root": "x"}, "nginx_static_sites.docs.root: unknown"),
        (
            {"path": "/docs"},
            "nginx_static_sites.docs.path: '/docs': must be a directory's path, with a slash at both ends",
        ),
        ({"path": "docs/"}, "nginx_static_sites.docs.path: 'docs/': must be a directory's path"),
        ({"path": "ads.txt"}, "nginx_static_sites.docs.path: 'ads.txt': must be a directory's path"),
        ({"path": "/.env"}, "nginx_static_sites.docs.path: '/.env': must be"),
        ({"path": "/.git/x.txt"}, "nginx_static_sites.docs.path: '/.git/x.txt': must be"),
        ({"path": "/docs/.well-known/"}, "nginx_static_sites.docs.path: '/docs/.well-known/': must be"),
        ({"path": "/.well-known/.env"}, "nginx_static_sites.docs.path: '/.well-known/.env': must be"),
        ({"path": "/.well-known//x"}, "nginx_static_sites.docs.path: '/.well-known//x': must be"),
        ({"path": "/.well-known/../x"}, "nginx_static_sites.docs.path: '/.well-known/../x': must not lead upwards"),
        ({"path": '/a.txt";return'}, "nginx_static_sites.docs.path: "),
        ({"path": "/a.txt\n"}, "nginx_static_sites.docs.path: "),
        ({"path": "/index.PHP"}, "nginx_static_sites.docs.path: '/index.PHP': no program is served as a file"),
        ({"path": "/wp-config.txt"}, "nginx_static_sites.docs.path: '/wp-config.txt': addresses that begin with /wp-"),
        (
            {"path": "/ads.txt", "index": "x.html"},
            "nginx_static_sites.docs.index: belongs to a path that is a directory's",
        ),
        ({"path": 7}, "nginx_static_sites.docs.path: 7: must be"),
    ],
)
def test_static_sites_refused(changes: dict[str, Any], problem: str) -> None:
    (found,) = problems(static={"docs": {"path": "/docs/", **changes}})
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "path",
    ["/ads.txt", "/app-ads.txt", "/BingSiteAuth.xml", "/google1a2b.html", "/files/a.b.txt", "/.well-known/",
     "/.well-known/security.txt", "/.well-known/apple-app-site-association", "/.well-known/matrix/server",
     "/.well-known/pki-validation/"],
)  # fmt: skip
def test_files_at_a_sites_root(path: str) -> None:
    assert problems(static={"docs": {"path": path}}) == []
    # A tool is no file, and nothing about the host.
    (found,) = problems({"meter": service(path=path)})
    assert found.startswith(f"meter_path: '{path}': must be a path with a slash at both ends")


def test_files_meet_only_what_holds_them() -> None:
    sites = {"ads": {"path": "/ads.txt"}, "more": {"path": "/ads.txt.gz"}, "docs": {"path": "/docs/"}}
    assert problems(static=sites) == []
    (found,) = problems(static={**sites, "inside": {"path": "/docs/x.txt"}})
    assert found.startswith("nginx_static_sites.inside.path: '/docs/x.txt': collides with nginx_static_sites.docs.path")
    (found,) = problems(static={**sites, "same": {"path": "/ads.txt"}})
    assert found.startswith("nginx_static_sites.same.path: '/ads.txt': collides with")


def test_source_has_the_file_that_the_path_names(tmp_path: Path) -> None:
    values = {"nginx_static_sites": {"ads": {"path": "/ads.txt", "source": str(tmp_path)}}}
    (found,) = nginx.static_file_problems(values)
    assert (
        found == f"nginx_static_sites.ads.source: {str(tmp_path)!r}: has no file ads.txt, which /ads.txt (path) names"
    )
    (tmp_path / "ads.txt").touch()
    assert nginx.static_file_problems(values) == []


def test_headers_of_all_sites_and_of_one() -> None:
    sites: dict[str, dict[str, Any]] = {
        "blog": {"security_headers": {"permissions-policy": 'payment=(self "https://pay")', "X-Own": "1"}},
        "shop": {"security_headers": {"Referrer-Policy": "", "X-Frame-Options": None}},
        "default": {"security_headers": {"X-Own": "2"}},
        "plain": {},
    }
    common = {"Permissions-Policy": "payment=()", "Referrer-Policy": "origin", "X-Frame-Options": "DENY", "X-None": ""}
    found = {header["name"]: header for header in nginx.answer_headers(common, sites)}
    assert list(found) == ["Permissions-Policy", "Referrer-Policy", "X-Frame-Options", "X-Own"]
    policy = found["Permissions-Policy"]
    assert (policy["key"], policy["replaces"]) == ("permissions_policy", True)
    assert (
        policy["values"]
        == {"default": '"payment=()"', "blog": '"payment=(self \\"https://pay\\")"'}
        == policy["embedded"]
    )
    # What is empty is left to the server behind.
    assert found["Referrer-Policy"]["values"] == {"default": '"origin"', "shop": "$upstream_http_referrer_policy"}
    assert found["X-Own"]["values"] == {"default": "$upstream_http_x_own", "blog": '"1"', "\\default": '"2"'}
    assert found["X-Frame-Options"]["values"] == {"default": '"DENY"', "shop": "$upstream_http_x_frame_options"}


def test_what_is_made_for_embedding_may_be_embedded() -> None:
    """The other directives of the policy stay; what the server behind says of it applies besides."""
    common = {
        "Content-Security-Policy": "frame-ancestors 'self'; base-uri 'self'; Frame-Ancestors x",
        "X-Frame-Options": "A",
    }
    policy, frames = nginx.answer_headers(common, {})
    assert policy["embedded"] == {"default": "\"base-uri 'self'\""}
    assert frames["embedded"] == {"default": '""'}
    assert (policy["replaces"], frames["replaces"]) == (False, True)
    (only,) = nginx.answer_headers({"Content-Security-Policy": "frame-ancestors 'none'"}, {})
    assert only["embedded"] == {"default": '""'}


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"X-A": "b\nX-C: d"}, "'X-A': 'b\\nX-C: d': must be text on one line"),
        ({"X-A": "b\x00"}, "'X-A': 'b\\x00': must be text on one line"),
        ({"X-A": 5}, "'X-A': 5: must be text on one line"),
        ({"X-A": ["b"]}, "'X-A': ['b']: must be text on one line"),
        ({"X A": "b"}, "'X A': a header's name is letters, digits and -"),
        ({"X-A: b\r\nX-C": "d"}, "'X-A: b\\r\\nX-C': a header's name is"),
        ({"": "b"}, "'': a header's name is"),
        ({7: "b"}, "7: a header's name is"),
        ({"strict-transport-security": "x"}, "'strict-transport-security': the web server makes it: see nginx_hsts"),
        ({"Set-Cookie": "x"}, "'Set-Cookie': the web server makes it"),
        ({"X-A": "b", "x-a": "c"}, "'x-a': declared twice"),
    ],
)
def test_headers_refused(headers: Any, problem: str) -> None:
    (found,) = nginx.site_header_problems({"nginx_security_headers": headers})
    assert found.startswith(f"nginx_security_headers.{problem}")
    (found,) = nginx.site_header_problems({"wordpress_sites": {"blog": {"security_headers": headers}, "shop": {}}})
    assert found.startswith(f"wordpress_sites.blog.security_headers.{problem}")


def test_headers_accepted() -> None:
    headers = {"X-Quote": 'say "hello" \\ $host', "Permissions-Policy": "", "Content-Security-Policy": None}
    assert (
        nginx.site_header_problems({"nginx_security_headers": headers, "wordpress_sites": {"b": {}, "c": None}}) == []
    )
    (found,) = nginx.site_header_problems({"nginx_security_headers": ["X-A"]})
    assert found == "nginx_security_headers: must be a dict of headers and their values"


def test_sources(tmp_path: Path) -> None:
    """Every file by its digest; what cannot be copied exactly is named."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/picture").write_bytes(b"\x00\xff")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").touch()
    files = nginx.static_files(str(tmp_path))
    assert nginx.file_digests(files) == {"deep/picture": hashlib.sha256(b"\x00\xff").hexdigest()}
    values = {"nginx_static_sites": {"docs": {"source": str(tmp_path)}, "own": {}}}
    assert nginx.static_file_problems(values) == []
    (tmp_path / "deep/link").symlink_to("picture")
    (found,) = nginx.static_file_problems(values)
    assert found == f"nginx_static_sites.docs.source: {tmp_path}: deep/link is a symbolic link"
    (tmp_path / "deep/link").unlink()
    (tmp_path / "deep").joinpath(b"\xff".decode(errors="surrogateescape")).touch()
    (found,) = nginx.static_file_problems(values)
    assert "a name that is not UTF-8" in found
    (found,) = nginx.static_file_problems({"nginx_static_sites": {"docs": {"source": "no/such/directory"}}})
    assert found.endswith("is not a directory on this machine")


def test_differences_of_static_sites_are_grouped_by_site_and_shortened() -> None:
    changes = [
        "/srv/s/static/docs: created",
        *(f"/srv/s/static/docs/{number}.txt: created" for number in range(1509)),
        "/srv/s/static/press/a: b.txt: content",
        "/srv/s/static/docs/late.txt: removed",
    ]
    assert nginx.static_differences(changes, "/srv/s/static") == {
        "docs": [*changes[:40], "and 1,471 more"],
        "press": ["/srv/s/static/press/a: b.txt: content"],
    }
    assert nginx.static_differences(changes[:40], "/srv/s/static") == {"docs": changes[:40]}
    assert nginx.static_differences([], "/srv/s/static") == {}


def test_entries_of_another_form_are_one_problem() -> None:
    for entry in ("x", ["x"], None):
        (found,) = problems(static={"docs": entry})
        assert found == "nginx_static_sites.docs: must be a dict"


def test_an_entry_without_a_site_needs_a_domain() -> None:
    found = nginx.route_problems({"nginx_services": {"meter": SERVICE}}, preflight.domain_problem)
    assert found == ["meter_domain: '': must be set where there is no site"]
    alone = {"nginx_services": {"meter": service(domain="tools.example.org")}}
    assert nginx.route_problems(alone, preflight.domain_problem) == []


def test_problems_of_sources_are_named_by_their_site(tmp_path: Path) -> None:
    """Those of another form have their own line already."""
    sites = {
        "docs": {"source": str(tmp_path / "nowhere")},
        "press": {"source": str(tmp_path)},
        "news": {"source": 5},
        "more": {"source": ""},
        "none": {},
        "wrong": "x",
    }
    (found,) = nginx.static_file_problems({"nginx_static_sites": sites})
    assert found.startswith(f"nginx_static_sites.docs.source: {tmp_path}/nowhere: ")
    assert nginx.static_file_problems({}) == []
    assert nginx.static_file_problems({"nginx_static_sites": ["x"]}) == []


def test_certificates_of_services_and_static_sites_are_listed() -> None:
    pair = {"certificate": "c", "key": "k"}
    values = {
        "nginx_services": {
            "meter": {"domain": "tools.example.org", "tls": pair},
            "gauge": {"domain": "gauge.example.org"},
            "desk": {"tls": pair},
        },
        "nginx_static_sites": {"docs": {"domain": "docs.example.org", "aliases": ["manual.example.org"], "tls": pair}},
    }
    assert nginx.own_certificates(values) == [
        ("meter_tls", pair, ["tools.example.org"]),
        ("nginx_static_sites.docs.tls", pair, ["docs.example.org", "manual.example.org"]),
    ]
    assert nginx.own_certificates({}) == []
