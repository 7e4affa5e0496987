"""Each public variable has a rule, or a reason why it has none; and what the rules refuse."""

from __future__ import annotations

import functools
import inspect
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import Templar

import render
from filter_plugins import mariadb, multisite, must_use, nginx, packages, php, preflight, values

ROOT = Path(__file__).resolve().parents[2]
NAN, INFINITE = float("nan"), float("inf")
SITE: dict[str, Any] = {
    "domain": "blog.example.org",
    "title": "Blog",
    "administrator": {"login": "owner", "email": "owner@example.org"},
    "users": {"author": {"email": "author@example.org", "role": "author"}},
}
USERS = {
    "mysql": 610, "redis": 611, "nginx": 612, "wordpress": 613, "ftp": 614, "adminer": 615, "cadvisor": 616,
    "healer": 617,
}  # fmt: skip


# --- Every variable -------------------------------------------------------------------------------------------------


@functools.cache
def entry_points() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the options of every entry point, by role and name."""
    return {
        (path.parts[-3], name): entry.get("options") or {}
        for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
        for name, entry in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].items()
    }


@functools.cache
def wired() -> set[str]:
    """Return the variables that wiring.yml computes from others."""
    return set(yaml.safe_load((ROOT / "group_vars/all/wiring.yml").read_text(encoding="utf-8")))


def public_variables() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """List what an operator declares: the roles' variables, the shared ones, and a site's fields."""
    for (_, entry), options in entry_points().items():
        if entry in ("main", "stack", "site"):
            for name, option in options.items():
                # What a role is called with, by another role's tasks.
                handed_over = option.get("required") and entry == "main"
                if name not in wired() and not handed_over:
                    yield (f"site.{name}" if entry == "site" else name), option


def ruled(name: str, option: Mapping[str, Any]) -> bool:
    """Tell whether a variable has a rule besides its type."""
    by_name = preflight.SIZE_SUFFIX.search(name) or re.search(r"_(port|bind_address)$", name)
    secret = option.get("no_log") and option.get("type", "str") == "str"
    tables = (values.RULES, values.ELSEWHERE, values.ANYTHING)
    return bool(
        option.get("type") == "bool" or option.get("choices") or by_name or secret or any(name in t for t in tables)
        or re.fullmatch(r"site\.(memory|upload_limit|memory_limit|opcache_memory)", name)
        or name.endswith(("_first_port", "_last_port"))
    )  # fmt: skip


def test_every_variable_has_a_rule_or_a_reason() -> None:
    assert [name for name, option in public_variables() if not ruled(name, option)] == []


def test_the_tables_name_variables_that_there_are_once() -> None:
    names = {name for name, _ in public_variables()} | wired()
    tables = [*values.RULES, *values.ELSEWHERE, *values.ANYTHING]
    assert set(tables) - names == set()
    assert len(tables) == len(set(tables))


def test_rules_elsewhere_are_functions() -> None:
    modules = (preflight, values, mariadb, nginx, packages, multisite, php, must_use)
    functions = {name for module in modules for name, _ in inspect.getmembers(module, inspect.isfunction)}
    assert set(values.ELSEWHERE.values()) - functions == set()
    assert all(values.ANYTHING.values())


def test_reconciler_and_preflight_agree_on_options() -> None:
    """What the site's reconciler refuses as an option is refused before."""
    text = (ROOT / "roles/wordpress/files/reconcile.php").read_text(encoding="utf-8")
    declared = re.findall(r"'(\w+)' => ", text.split("DECLARED_ELSEWHERE = [")[1].split("];")[0])
    assert len(declared) > 10
    assert {name.lower() for name in declared} - set(values.OPTIONS_DECLARED_ELSEWHERE) == set()


# --- Together, with the roles' own specifications -------------------------------------------------------------------


@functools.cache
def base() -> preflight.Declared:
    """Return the project's own declaration."""
    specs = {
        name: option
        for (_, entry), options in entry_points().items()
        if entry in ("main", "stack")
        for name, option in options.items()
    }
    found = render.variables("nginx", "defaults")
    templar = Templar(loader=render.loader(), variables=found)
    # What a role is called with is nobody's to declare.
    resolved = {name: templar.template(found[name]) for name in specs if name in found and name not in wired()}
    resolved |= {
        "nginx_networks": ["edge", "web-blog"],
        "wordpress_sites": {"blog": SITE},
        "stack_installation_key": render.KEY,
    }
    return preflight.Declared(
        values=resolved,
        specs=specs,
        names=list(resolved),
        known=list(specs),
        prefixes=sorted({"stack", *(role for role, _ in entry_points())}),
        site_spec=entry_points()["wordpress", "site"],
        wired=sorted(wired()),
    )


def problems(**changes: Any) -> list[str]:
    """Return what is wrong with the project's own declaration and some changes."""
    good = base()
    return preflight.declared_problems(
        preflight.Declared(**{**vars(good), "values": {**good.values, **changes}, "names": [*good.names, *changes]})
    )


def of_site(**changes: Any) -> dict[str, Any]:
    """Return one site with changes."""
    return {"wordpress_sites": {"blog": {**SITE, **changes}}}


def test_what_the_project_declares_passes() -> None:
    assert problems() == []


NO_SITES: list[Any] = [{}, [], "x", None, 5, {"blog": None}, {"blog": "x"}, {"blog": {}}]
WRONG: list[dict[str, Any]] = [
    *({"base_image_users": {**USERS, "mysql": uid}} for uid in (0, -1, "root", 613.5, True, None, 10**12, 65534, 611)),
    *({"base_image_users": {**USERS, name: 700}} for name in ("root", "a b", "x; id", "www-data", 5, "")),
    {"base_image_users": {}},
    {"base_image_users": {"mysql": 700}},
    *({"nginx_security_headers": {"X-A": value}} for value in ("a\nb", 5, "ü", ["a"])),
    *({"nginx_security_headers": {name: "a"}} for name in ("X A", "X;A", "", 5, "X:A")),
    *({"nginx_hsts": value} for value in ("a\nb", 'x"; evil', "max-age=", "includeSubDomains")),
    *({"nginx_workers": value} for value in ("2; x", "0", "-1", "", "AUTO")),
    *({"nginx_trusted_proxies": [value]} for value in ("x", "10.0.0.0/8; x", "10.0.0.0/33", "", 5)),
    *({"nginx_content_directory": value} for value in ("/", "/srv/a b", "/etc", "x", "/srv/../etc")),
    *({"nginx_worker_connections": value} for value in (0, -5, 10**9, True, 64.5)),
    *({"nginx_cpus": value} for value in (NAN, INFINITE, -INFINITE, 0, -1, 1e9, True, "nan", "inf")),
    *(
        {"mariadb_privileges": [value]}
        for value in ("SELECT ON *.* TO root;--", "ALL", "SUPER", "GRANT OPTION", "select")
    ),
    {"mariadb_privileges": []},
    {"mariadb_privileges": "SELECT"},
    *({"mariadb_foreign_accounts": [value]} for value in ("x", "a@b\n", "a'b@c", "@", "a@b@c")),
    {"mariadb_binary_log_days": 100},
    {"mariadb_max_connections": 10**7},
    *({"base_image_packages": [value]} for value in ("curl; id", "-y", "$(id)", "", "a b", "a\nb", "A")),
    *({"base_image_registry": value} for value in ("debian:latest", "debian", "debian@sha256:abc", "x\nRUN id")),
    *({"base_image_http_proxy": value} for value in ("nope", "http://a b", "ftp://x", "http://x'; id")),
    *({"base_image_sources": [value]} for value in ("x", "deb http://x y z\ndeb q", "deb http://x' y z")),
    *({"cadvisor_labels": [value]} for value in ("a\nb", "a b", "-a")),
    {"cadvisor_max_housekeeping_interval": 1},
    {"certificates_days": 826},
    {"certificates_renew_days": 397},
    {"certificates_authority_days": 100},
    # No proxy is trusted that could ask; and what is no path.
    {"nginx_health_path": "/up"},
    *(
        {"nginx_health_path": value, "nginx_trusted_proxies": ["192.0.2.7"]}
        for value in ("up", "/a b", "/;}", "//", "/x\n")
    ),
    *({"nginx_public_port": value} for value in (0, 65536, "443a")),
    {"certificates_authority_directory": "/etc"},
    {"docker_daemon_options": {"x": NAN}},
    {"docker_daemon_options": []},
    {"stack_image_epoch": "a\nb"},
    {"stack_secret_versions": {"nothing": 2}},
    *({"wordpress_secret_versions": {"blog/owner": value}} for value in (0, -1, "x", True, 2.5, None)),
    *({"stack_external_networks": value} for value in ([], ["web\n"], ["database"], "edge", [5])),
    *({f"{name}_networks": ["a b", "c"]} for name in ("adminer", "cadvisor", "ftp", "healer")),
    {"adminer_networks": ["tool-adminer"]},
    *({"preflight_lock_file": value} for value in ("/etc", "x", "/run/a b", "/run/\n")),
    *({name: -1} for name in ("stack_images_kept", "nginx_static_max_age", "nginx_login_burst", "healer_after")),
    *(
        {name: 10**12}
        for name in ("ftp_idle_timeout", "wordpress_cron_interval", "container_drain_timeout", "nginx_pids")
    ),
    *({"wordpress_database_prefix": value} for value in ("", "a`b", "x" * 64, "a b")),
    *({"wordpress_theme": value} for value in ("", "../x", "a b")),
    *({"wordpress_table_prefix": value} for value in ("", "a;b")),
    *({"wordpress_sites": value} for value in NO_SITES),
    *({"wordpress_sites": {name: SITE}} for name in ("cron", "default", "Blog", "a-b", "", 5)),
    {"wordpress_sites": {"sql": SITE}, "wordpress_database_prefix": "my"},
    {"wordpress_sites": {"redis": {**SITE, "users": {"redis": SITE["users"]["author"]}}}},
    of_site(users={"salts": SITE["users"]["author"]}),
    *(of_site(locale=value) for value in ("", "de DE", "de_DE'", "../x", "klingon", "DE", 5)),
    *(of_site(timezone=value) for value in ("", "Mars/Base", "europe/berlin", "../UTC", "UTC\n", 5)),
    *(of_site(permalinks=value) for value in ("x", "/a/", "/%postname%/\n", "/%post_name%/", "/%postname% x", 5)),
    *(
        of_site(options={name: "x"})
        for name in (
            *values.OPTIONS_DECLARED_ELSEWHERE,
            "WPLANG",
            "SiteURL",
            "cron",
            "shop_user_roles",
            "_transient_x",
            "pressdock_addresses",
            "",
            " x",
            "a" * 192,
            5,
        )
    ),
    *(of_site(options={"posts_per_page": value}) for value in (NAN, INFINITE, 10**20, {"a": [NAN]}, "a\0b", {1, 2})),
    of_site(options=[1]),
    of_site(options={"default_role": "administrator"}),
    of_site(options={"blog_public": 1, "Blog_Public": 0}),
    *(
        of_site(administrator={**SITE["administrator"], "display_name": value})
        for value in ("", " ", "a\nb", "<b>x</b>", "a  b", " a", "50%20x", "x" * 300, 5)
    ),
    *(of_site(cpus=value) for value in (NAN, INFINITE, 0, True, "x")),
    *(
        of_site(**{key: "x"})
        for key in ("smtp", "tls", "aliases", "plugins", "multisite", "users", "administrator", "options")
    ),
]


@pytest.mark.parametrize("changes", WRONG, ids=lambda changes: str(changes)[:90])
def test_refused(changes: dict[str, Any]) -> None:
    """Each by a line that names a variable which was declared."""
    found = problems(**changes)
    assert any(name in line for line in found for name in changes), found
    assert not any("\n" in line for line in found)


RIGHT: list[dict[str, Any]] = [
    {"base_image_users": {**USERS, "mysql": 700, "keeper": 710}},
    {"base_image_registry": f"registry.example.org:5000/debian:trixie@sha256:{'a' * 64}"},
    {"base_image_packages": ["tzdata", "libstdc++6", "curl=8.14.1-2+deb13u2"]},
    {"base_image_http_proxy": "http://user:word@192.0.2.1:3142/"},
    {"mariadb_privileges": ["DELETE", "INSERT", "SELECT", "UPDATE", "CREATE TEMPORARY TABLES", "LOCK TABLES"]},
    {"mariadb_foreign_accounts": ["reporting@192.0.2.%", "some one@%"]},
    {"nginx_hsts": ""},
    {"nginx_hsts": "max-age=63072000; includeSubDomains; preload"},
    {"nginx_trusted_proxies": ["10.0.0.0/8", "10.0.0.1/8", "192.0.2.1", "2001:db8::/32"]},
    {"nginx_security_headers": {"X-A": "", "X-B": "a \"b\" 'c' $host;"}},
    {"nginx_extra_http_config": "# one\n\tdirective on;\n"},
    {"nginx_cpus": "0.5"},
    {"wordpress_secret_versions": {"blog/owner": 2, "gone/salts": 3, "database/blog": 4}},
    {"stack_secret_versions": {"tool/adminer": 2, "redis/health-check": 3}},
    {"wordpress_sites": {"redis": SITE}},
    *(of_site(locale=value) for value in ("de_DE", "de_DE_formal", "pt_PT_ao90", "ckb", "en_US", "art_xemoji")),
    *(
        of_site(timezone=value)
        for value in ("UTC", "Europe/Berlin", "Etc/GMT+5", "America/Argentina/Buenos_Aires", "Asia/Kolkata")
    ),
    *(
        of_site(permalinks=value)
        for value in ("", "/%postname%/", "/archives/%post_id%", "/%year%/%category%/%postname%")
    ),
    of_site(
        options={
            "posts_per_page": 7,
            "blogdescription": "Don't\npanic",
            "x": {"a": [1, True, None]},
            "users_can_register": 1,
        }
    ),
    of_site(administrator={**SITE["administrator"], "display_name": "Meyer & Söhne <3 50 %"}),
]


@pytest.mark.parametrize("changes", RIGHT, ids=lambda changes: str(changes)[:90])
def test_accepted(changes: dict[str, Any]) -> None:
    assert problems(**changes) == []


@pytest.mark.parametrize("value", [None, True, "x", [None], {"x": None}], ids=repr)
def test_no_wrong_type_ends_in_a_traceback(value: Any) -> None:
    """Neither of a variable nor of a site's field."""
    for name in base().values:
        problems(**{name: value})
    for name in base().site_spec:
        problems(**of_site(**{name: value}))


def test_one_wrong_value_has_one_line() -> None:
    assert problems(ftp_clients=0) == ["ftp_clients: 0: must be from 1 to 1000"]
    assert problems(base_image_packages=["curl; id", "less"]) == [
        'base_image_packages[0]: "curl; id": must be the names of Debian packages, such as tzdata'
    ]


# --- Single rules ---------------------------------------------------------------------------------------------------


def test_old_names_of_time_zones(tmp_path: Path) -> None:
    (tmp_path / "tzdata.zi").write_text(
        "# version x\nZ America/Los_Angeles -8 - P\nZ Africa/Abidjan 0 - G\nL America/Los_Angeles US/Pacific\n"
        "L Africa/Abidjan Africa/Accra\nL Etc/UTC UTC\n"
    )
    (tmp_path / "zone.tab").write_text("# x\nGH\t+0533\tAfrica/Accra\nUS\t+34\tAmerica/Los_Angeles\tPacific\n")
    known, old = values.time_zones(tmp_path)
    assert {"US/Pacific", "Africa/Accra", "UTC", "America/Los_Angeles"} <= known
    assert old == {"US/Pacific": "America/Los_Angeles"}


def test_time_zones_of_this_machine() -> None:
    known, old = values.time_zones()
    if not known or "US/Pacific" not in old:
        pytest.skip("this machine has no list of time zones")
    assert values.timezone_problem("US/Pacific") is None
    assert values.timezone_name("US/Pacific") == "America/Los_Angeles"
    assert values.timezone_name("Europe/Berlin") == "Europe/Berlin"
    assert values.timezone_name("Mars/Base") == "Mars/Base", "what nobody knows is left to be refused"
    assert values.timezone_problem("europe/berlin") == "is no time zone: write Europe/Berlin"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Meyer & Söhne", "Meyer & Söhne"),
        ("a <b>bold</b> one", "a bold one"),
        ("  a \t b ", "a b"),
        ("50%20x", "50x"),
        ("%%2020", ""),
        ("1 < 2", "1 < 2"),
    ],
)
def test_what_wordpress_keeps_of_a_name(text: str, kept: str) -> None:
    assert values.kept_text(text) == kept


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("STACK_NAME", "stack_name"),
        ("Nginx_memory", "nginx_memory"),
        ("stackname", "stack_name"),
        ("mysql_memory", "mariadb_memory"),
        ("maria_db_memory", "mariadb_memory"),
        ("wp_sites", "wordpress_sites"),
        ("wordpressSites", "wordpress_sites"),
        ("php_memory_limit", "wordpress_memory_limit"),
        ("proftpd_port", "ftp_port"),
        ("web_https_port", "nginx_https_port"),
    ],
)
def test_misspelt_names_outside_the_known_beginnings(name: str, meant: str) -> None:
    assert problems(**{name: "x"}) == [f"{name}: no such variable, did you mean {meant}?"]


@pytest.mark.parametrize(
    "name", ["domain", "my_sites", "vault_smtp_password", "https_port", "db_password", "_mysql_memory"]
)
def test_an_operator_s_own_names_pass(name: str) -> None:
    assert problems(**{name: "x"}) == []


def test_large_ranges_of_ports_are_quick() -> None:
    container = {"name": "ftp", "ports": ["0.0.0.0:1024-61023:1024-61023/tcp"]}
    listeners = [{"address": "127.0.0.1", "port": number, "protocol": "tcp", "process": "x"} for number in (22, 5000)]
    begun = time.process_time()
    found = preflight.port_problems([container, {**container, "name": "other"}], listeners, [], "stack")
    assert time.process_time() - begun < 3
    assert "ports 1024 to 61023/tcp: published twice, by ftp and other" in found
    assert "port 5000/tcp (ftp): already in use by x" in found
    assert len(found) == 3
