"""The preflight's rules: each with values that pass and values that do not."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from filter_plugins import preflight
from filter_plugins.values import shown
from hostile import HOSTILE
from tests.support.target import GIB, HOST

SITE: dict[str, Any] = {
    "domain": "blog.example.org",
    "aliases": ["www.blog.example.org"],
    "title": "It's a blog",
    "administrator": {"login": "owner", "email": "owner@example.org"},
    "users": {"author": {"email": "author@example.org", "role": "author"}},
}
ANYWHERE = "0.0.0.0"  # noqa: S104 - compared with, not bound


def site(**changes: Any) -> dict[str, Any]:
    """Return the good site with some keys replaced; those set to `...` are removed."""
    changed = {**copy.deepcopy(SITE), **changes}
    return {key: value for key, value in changed.items() if value is not ...}


def host(**changes: Any) -> dict[str, Any]:
    """Return the good host with some keys replaced."""
    return {**copy.deepcopy(HOST), **changes}


# --- Names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pressdock", "a", "shop-2", "a1-b2-c3", "x" * 32])
def test_stack_names_accepted(name: str) -> None:
    assert preflight.stack_name_problems(name) == []


@pytest.mark.parametrize(
    "name",
    ["", None, "Shop", "1shop", "-a", "a-", "a--b", "a b", "a_b", "a/b", "a;b", "a\n", "{}", "x" * 33, 5, "ü", ["a"]],
)
def test_stack_names_refused(name: Any) -> None:
    (problem,) = preflight.stack_name_problems(name)
    assert problem.startswith("stack_name: ")
    assert "\n" not in problem


@pytest.mark.parametrize(
    "domain",
    [
        "localhost",
        "example.org",
        "a.b.c.d.example.org",
        "xn--bcher-kva.example",
        "x" * 63 + ".org",
        "1and1.com",
        "intranet",
        "a-b.example",
        ".".join(["x" * 49] * 5),
    ],
)
def test_domains_accepted(domain: str) -> None:
    assert preflight.domain_problem(domain) is None


@pytest.mark.parametrize(
    ("domain", "rule"),
    [
        ("", "must be a domain name"),
        (None, "must be a domain name"),
        (5, "must be a domain name"),
        (["a.example"], "must be a domain name"),
        ("192.0.2.1", "not an IP address"),
        ("[2001:db8::1]", "not an IP address"),
        ("2001:db8::1", "not an IP address"),
        ("bücher.example", "here xn--bcher-kva.example"),
        (f"{'ü' * 64}.example", "write an international domain name in its xn-- form"),
        ("x" * 64 + ".org", "too long"),
        (".".join(["x" * 50] * 5) + ".org", "too long"),
        ("Example.org", "lower-case"),
        ("exa mple.org", "lower-case"),
        ("example.org.", "lower-case"),
        (".example.org", "lower-case"),
        ("a..b", "lower-case"),
        ("-a.example", "lower-case"),
        ("a-.example", "lower-case"),
        ("a_b.example", "lower-case"),
        ("*.example.org", "lower-case"),
        ('a".example', "lower-case"),
        ("a'.example", "lower-case"),
        ("a;b.example", "lower-case"),
        ("a.example\n", "lower-case"),
        ("{}", "lower-case"),
        ("https://a.example", "lower-case"),
        ("a.example:8443", "lower-case"),
        ("1.2.3", "must not end in a number"),
        ("127.1", "must not end in a number"),
    ],
)
def test_domains_refused(domain: Any, rule: str) -> None:
    assert rule in (preflight.domain_problem(domain) or "accepted")


# --- Sites ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sites",
    [
        {"blog": SITE},
        {"blog": SITE, "shop2": site(domain="shop.example", aliases=[])},
        {"blog": site(aliases=...)},
        {
            "blog": site(
                title="{{ 7*7 }} <b>\"x\" & 'y'</b> 🐘", theme="twentytwentyfive", plugins=["akismet", "a_b-c.d"]
            )
        },
        {"blog": site(domain="localhost", memory="512m", upload_limit="128m", table_prefix="wp_")},
        {"x" * 16: site(tls={"certificate": "/a", "key": "/b"})},
        {"blog": site(tls={})},
        {
            "blog": site(
                administrator={"login": "A.b_c@d-e", "email": "a+b@xn--bcher-kva.example", "password": "x" * 12}
            )
        },
    ],
)
def test_sites_accepted(sites: Any) -> None:
    assert preflight.site_problems(sites) == []


@pytest.mark.parametrize(
    ("sites", "problem"),
    [
        (None, "wordpress_sites: null: must be a dict of sites"),
        ([SITE], "must be a dict of sites"),
        ({}, "must have at least one site"),
        ({"": SITE}, 'wordpress_sites: "": a site\'s name is'),
        ({"Blog": SITE}, "a site's name is"),
        ({"my-blog": SITE}, "a site's name is"),
        ({"1blog": SITE}, "a site's name is"),
        ({"x" * 17: SITE}, "a site's name is"),
        ({7: SITE}, "a site's name is"),
        ({"blog": None}, "wordpress_sites.blog: null: must be a dict"),
        ({"blog": site(domain=...)}, "wordpress_sites.blog.domain: missing"),
        ({"blog": site(domain=None)}, "wordpress_sites.blog.domain: null: must be a domain name"),
        ({"blog": site(domain="a b")}, 'wordpress_sites.blog.domain: "a b": must be lower-case'),
        ({"blog": site(aliases=["192.0.2.1"])}, 'wordpress_sites.blog.aliases[0]: "192.0.2.1": must be a name'),
        ({"blog": site(aliases=["blog.example.org"])}, "already used by wordpress_sites.blog.domain"),
        ({"blog": site(aliases=["a.example", "a.example"])}, "already used by wordpress_sites.blog.aliases[0]"),
        (
            {"blog": SITE, "shop": site()},
            'wordpress_sites.shop.domain: "blog.example.org": already used by wordpress_sites.blog',
        ),
        (
            {"blog": SITE, "shop": site(domain="www.blog.example.org", aliases=[])},
            "used by wordpress_sites.blog.aliases[0]",
        ),
        ({"blog": site(title=...)}, "wordpress_sites.blog.title: missing"),
        ({"blog": site(title="")}, 'wordpress_sites.blog.title: "": must be text that is not empty'),
        ({"blog": site(title="  ")}, "must be text that is not empty"),
        ({"blog": site(title=5)}, "must be text that is not empty"),
        ({"blog": site(title="a\nb")}, "must not contain line breaks"),
        ({"blog": site(theme="../x")}, "wordpress_sites.blog.theme"),
        ({"blog": site(plugins=["a b"])}, "wordpress_sites.blog.plugins[0]"),
        ({"blog": site(memory="512")}, "wordpress_sites.blog.memory: the size '512' has no unit"),
        ({"blog": site(upload_limit="-1m")}, "wordpress_sites.blog.upload_limit"),
        ({"blog": site(table_prefix="wp'; --")}, "wordpress_sites.blog.table_prefix"),
        ({"blog": site(tls={"certificate": "/a"})}, "wordpress_sites.blog.tls: needs certificate and key"),
        ({"blog": site(administrator=...)}, "wordpress_sites.blog.administrator: missing"),
        ({"blog": site(administrator="owner")}, 'wordpress_sites.blog.administrator: "owner": must be a dict'),
        ({"blog": site(users=...)}, "wordpress_sites.blog.users: missing"),
        ({"blog": site(users={})}, "wordpress_sites.blog.users: {}: needs at least one user beside"),
        ({"blog": site(users=[])}, "needs at least one user beside"),
        ({"blog": site(users={"author": None})}, "wordpress_sites.blog.users.author: null: must be a dict"),
    ],
)
def test_sites_refused(sites: Any, problem: str) -> None:
    problems = preflight.site_problems(sites)
    assert any(problem in line for line in problems), problems
    assert all("\n" not in line for line in problems)


def test_unknown_keys_of_users() -> None:
    users = {"author": {"email": "author@example.org", "role": "author", "pasword": "canary"}}
    assert preflight.site_problems({"blog": site(users=users)}) == [
        "wordpress_sites.blog.users.author.pasword: unknown, did you mean password?"
    ]


def account(login: Any = "owner", email: Any = "owner@example.org") -> dict[str, Any]:
    """Return an administrator."""
    return {"login": login, "email": email}


@pytest.mark.parametrize("login", ["admin", "Admin", "ADMINISTRATOR", "sysadmin", "my-aDmIn-2"])
def test_administrators_are_not_called_admin(login: str) -> None:
    (problem,) = preflight.site_problems({"blog": site(administrator=account(login))})
    assert 'must not contain "admin"' in problem
    assert login in problem
    user = {"email": "second@example.org", "role": "administrator"}
    (problem,) = preflight.site_problems({"blog": site(users={login: user})})
    assert 'must not contain "admin"' in problem
    # The rule is for those who administer.
    assert preflight.site_problems({"blog": site(users={login: {**user, "role": "editor"}})}) == []


@pytest.mark.parametrize("login", ["", None, 5, "a b", "a'b", 'a"b', "a;b", "a\nb", "<b>", "x" * 61, "ö", "{{ 7*7 }}"])
def test_bad_logins(login: Any) -> None:
    problems = preflight.site_problems({"blog": site(administrator=account(login))})
    assert any("wordpress_sites.blog.administrator: login" in line for line in problems)


@pytest.mark.parametrize(
    "email",
    [
        "",
        None,
        5,
        "a",
        "a@b",
        "a@@b.example",
        "a b@c.example",
        "@c.example",
        "a@192.0.2.1",
        "a@-b.org",
        ".a@b.example",
        "a.@b.example",
        "a..c@b.example",
    ],
)
def test_bad_addresses(email: Any) -> None:
    problems = preflight.site_problems({"blog": site(administrator=account(email=email))})
    assert any("wordpress_sites.blog.administrator.email: " in line for line in problems)


@pytest.mark.parametrize("role", ["", None, "Author", "superuser", 5])
def test_bad_roles(role: Any) -> None:
    users = {"author": {"email": "author@example.org", "role": role}}
    (problem,) = preflight.site_problems({"blog": site(users=users)})
    assert problem.startswith("wordpress_sites.blog.users.author.role: ")
    assert "must be one of administrator, editor, author" in problem


def test_a_declared_display_name_may_be_the_login() -> None:
    """Strangers see it, which is what the operator wants then."""
    users = {"clerk": {"email": "other@example.org", "role": "author", "display_name": "Clerk"}}
    assert preflight.site_problems({"blog": site(users=users)}) == []


def test_accounts_differ() -> None:
    users = {"OWNER": {"email": "other@example.org", "role": "author"}}
    (problem,) = preflight.site_problems({"blog": site(users=users)})
    assert (
        problem == 'wordpress_sites.blog.users.OWNER: login "OWNER": already used by wordpress_sites.blog.administrator'
    )
    users = {"author": {"email": "Owner@Example.org", "role": "author"}}
    (problem,) = preflight.site_problems({"blog": site(users=users)})
    assert 'email "Owner@Example.org": already used by wordpress_sites.blog.administrator' in problem


def test_site_keys_are_checked_against_the_specification() -> None:
    spec: dict[str, Any] = {"domain": {"required": True}, "title": {"required": True}, "users": {"type": "dict"}}
    spec |= {"administrator": {"type": "dict"}, "aliases": {"type": "list", "elements": "str"}}
    assert preflight.site_problems({"blog": SITE}, spec) == []
    (problem,) = preflight.site_problems({"blog": site(domian="x.example")}, spec)
    assert problem == "wordpress_sites.blog.domian: unknown, did you mean domain?"
    assert 'wordpress_sites.blog.aliases: "a.example": must be a list' in preflight.site_problems(
        {"blog": site(aliases="a.example")}, spec
    )


# --- Secrets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret", [text for text in HOSTILE if len(text) >= 12 and "\n" not in text and len(set(text)) > 4]
)
def test_hostile_secrets_are_accepted(secret: str) -> None:
    assert preflight.secret_problem(secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        "correct horse battery staple",
        "Tr0ub4dor&3-and-more",
        "8f0b7a5d3c1e92846af7",
        "my example horse is white",
        "changeme-hG7fK2pQ9x",
        " leading and trailing ",
        "918273645546372",
        "abcd" + "".join(chr(0x4E00 + number) for number in range(124)),
    ],
)
def test_ordinary_secrets_are_accepted(secret: str) -> None:
    assert preflight.secret_problem(secret) is None


@pytest.mark.parametrize(
    ("secret", "rule"),
    [
        ("", "must not be empty"),
        ("short", "at least 12 characters"),
        ("x" * 11, "at least 12 characters"),
        ("abcde" * 300, "at most 1024"),
        (None, "must be text"),
        (123456789012, "must be text"),
        (["secret words here"], "must be text"),
        ("nul\0inside the text", "must not contain NUL"),
        ("line\nbreak in the text", "line breaks"),
        ("half \ud800 a character", "valid Unicode"),
        ("aaaaaaaaaaaa", "5 different characters"),
        ("abababababab", "5 different characters"),
        ("changeme1234", "placeholder"),
        ("CHANGE_ME_PLEASE"[:13], "placeholder"),
        ("Change-Me-Now!"[:9] + "1234", "placeholder"),
        ("password1234", "placeholder"),
        ("Passw0rd!!!!", "placeholder"),
        ("example-password", "placeholder"),
        ("examplesecret", "placeholder"),
        ("your_secret_here", "placeholder"),
        ("placeholder!", "placeholder"),
        ("wordpress123", "placeholder"),
        ("123456789012", "placeholder"),
    ],
)
def test_bad_secrets_are_refused_without_being_shown(secret: Any, rule: str) -> None:
    problem = preflight.secret_problem(secret)
    assert problem is not None
    assert rule in problem
    (line,) = preflight.secret_problems({"mariadb_password": secret})
    assert line == f"mariadb_password: {problem}"
    assert not secret or str(secret) not in line


def test_secrets_are_not_shared() -> None:
    secrets = {"one": "correct horse battery", "two": "other horse battery!!", "three": "correct horse battery"}
    assert preflight.secret_problems(secrets) == ["three: must not be the same secret as one"]


def test_site_passwords_are_found() -> None:
    users = {"author": {"email": "author@example.org", "role": "author", "password": "b"}}
    declared = {
        "blog": site(administrator={**account(), "password": "a"}, users=users),
        "odd": None,
        "odder": {"users": 5},
    }
    assert preflight.site_secrets(declared) == {
        "wordpress_sites.blog.administrator.password": "a",
        "wordpress_sites.blog.users.author.password": "b",
    }
    assert preflight.site_secrets("odd") == {}


KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"


def test_good_keys() -> None:
    assert preflight.key_problems(KEY) == []
    assert preflight.key_problems(KEY, "/k", KEY + "\n", 0o600) == []
    assert preflight.key_problems(KEY, "/k", KEY + "\n", 0o400) == []
    # 128 bit are enough for a key that is given directly.
    assert preflight.key_problems(KEY[:32]) == []
    # A file that is not used may be as it likes.
    assert preflight.key_problems(KEY, "/k", "something else", 0o644) == []


@pytest.mark.parametrize(
    ("key", "text", "mode", "problem"),
    [
        ("", None, None, "stack_installation_key: the installation key is empty"),
        (KEY[:30], None, None, "has 120 bit"),
        (KEY[:41], None, None, "odd number"),
        (KEY, KEY, 0o640, "stack_installation_key_file: /k: mode 0640 lets others read it"),
        (KEY, KEY, 0o604, "mode 0604 lets others read it"),
        (
            KEY[:40],
            KEY[:40],
            0o600,
            "stack_installation_key_file: /k: has 40 of 64 hexadecimal digits: it was cut short",
        ),
        (None, None, None, "must be text"),
    ],
)
def test_bad_keys(key: Any, text: str | None, mode: int | None, problem: str) -> None:
    problems = preflight.key_problems(key, "/k", text, mode)
    assert len(problems) == 1
    assert problem in problems[0]
    assert KEY[:30] not in problems[0]


# --- Paths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/srv/pressdock", "/data", "/data/", "/var/lib/pressdock", "/opt/x", "/home/x/y", "/mnt/disk.1/a-b_c"]
)
def test_paths_accepted(path: str) -> None:
    assert preflight.path_problems("stack_data_dir", path, path) == []


@pytest.mark.parametrize(
    "path",
    [
        "",
        None,
        5,
        "data",
        "./data",
        "~/data",
        "/",
        "//",
        "/etc",
        "/etc/",
        "//etc",
        "/etc/pressdock",
        "/usr/local/x",
        "/var",
        "/var/lib",
        "/var/lib/docker",
        "/var/lib/docker/x",
        "/srv",
        "/home",
        "/root",
        "/run/x",
        "/proc/x",
        "/data/../etc",
        "/data/./x",
        "/data dir",
        "/data:ro",
        "/da'ta",
        "/data\n",
        "/{{ x }}",
    ],
)
def test_paths_refused(path: Any) -> None:
    (problem,) = preflight.path_problems("stack_data_dir", path)
    assert problem.startswith("stack_data_dir: ")


@pytest.mark.parametrize("real", ["/", "/etc", "/etc/x", "/var/lib/docker/volumes", "/usr"])
def test_links_to_the_system_are_refused(real: str) -> None:
    (problem,) = preflight.path_problems("stack_data_dir", "/data/shop", real)
    assert f"a symbolic link leads to {real}" in problem


# --- Ports ----------------------------------------------------------------------------------------------------------

NGINX = {"name": "nginx", "ports": ["0.0.0.0:443:8443/tcp"]}


def listening(port: int, address: str = ANYWHERE, protocol: str = "tcp", process: str = "") -> dict[str, Any]:
    """Return a listening socket as the module reports it."""
    return {"address": address, "port": port, "protocol": protocol, "process": process}


def publishing(name: str, stack: str, port: int, address: str = ANYWHERE) -> dict[str, Any]:
    """Return an engine's container as the module reports it."""
    return {"name": name, "stack": stack, "ports": [{"address": address, "port": port, "protocol": "tcp"}]}


@pytest.mark.parametrize(
    ("listeners", "containers"),
    [
        ([], []),
        ([listening(80), listening(4430), listening(443, protocol="udp")], []),
        # Ours: the engine listens for it, on IPv6 too.
        (
            [listening(443), listening(443, "::", process="dockerd")],
            [publishing("pressdock-nginx", "pressdock", 443), publishing("pressdock-nginx", "pressdock", 443, "::")],
        ),
        # For IPv6 alone, as we hold the port of IPv4.
        ([listening(443), listening(443, "::", process="caddy")], [publishing("pressdock-nginx", "pressdock", 443)]),
        ([listening(443, "::1", process="caddy"), listening(443, "::ffff:192.0.2.1", "udp")], []),
        (
            [listening(443, process="docker-proxy"), listening(443, "::")],
            [publishing("pressdock-nginx", "pressdock", 443)],
        ),
    ],
)
def test_ports_free_or_ours(listeners: list[Any], containers: list[Any]) -> None:
    assert preflight.port_problems([NGINX], listeners, containers, "pressdock") == []


def test_ports_on_other_addresses_are_free() -> None:
    local = {"name": "nginx", "ports": ["127.0.0.1:443:8443"]}
    assert preflight.port_problems([local], [listening(443, "192.0.2.1")], [], "pressdock") == []
    assert preflight.port_problems([local], [listening(443, ANYWHERE)], [], "pressdock") != []


@pytest.mark.parametrize(
    ("listeners", "containers", "problem"),
    [
        ([listening(443, process="apache2")], [], "port 443/tcp (nginx): already in use by apache2"),
        ([listening(443, "127.0.0.1")], [], "port 443/tcp (nginx): already in use"),
        ([listening(443, "::", process="caddy")], [], "port 443/tcp (nginx): already in use by caddy"),
        (
            [listening(443, process="docker-proxy")],
            [publishing("shop-nginx", "shop", 443)],
            "port 443/tcp (nginx): already in use by shop-nginx",
        ),
        # Our container is stopped and somebody took its port.
        (
            [listening(443, process="caddy")],
            [{"name": "pressdock-nginx", "stack": "pressdock", "ports": []}],
            "port 443/tcp (nginx): already in use by caddy",
        ),
    ],
)
def test_ports_taken(listeners: list[Any], containers: list[Any], problem: str) -> None:
    assert preflight.port_problems([NGINX], listeners, containers, "pressdock") == [problem]


BOTH = {"name": "nginx", "ports": ["0.0.0.0:443:8443/tcp", "[::]:443:8443/tcp"]}


@pytest.mark.parametrize(
    ("listeners", "containers", "holder"),
    [
        ([listening(443, "::", process="caddy")], [], "caddy"),
        ([listening(443, "2001:db8::5", process="caddy")], [], "caddy"),
        ([listening(443, "::ffff:192.0.2.1", process="caddy")], [], "caddy"),
        # Beside what we have for IPv4: somebody else has IPv6, a program or a container.
        (
            [listening(443), listening(443, "::", process="caddy")],
            [publishing("pressdock-nginx", "pressdock", 443)],
            "caddy",
        ),
        (
            [listening(443), listening(443, "::", process="dockerd")],
            [publishing("pressdock-nginx", "pressdock", 443), publishing("shop-nginx", "shop", 443, "::")],
            "shop-nginx",
        ),
        (
            [],
            [publishing("pressdock-nginx", "pressdock", 443), publishing("pressdock-nginx", "pressdock", 443, "::")],
            "",
        ),
    ],
)
def test_ports_of_both_versions_of_ip(listeners: list[Any], containers: list[Any], holder: str) -> None:
    found = preflight.port_problems([BOTH], listeners, containers, "pressdock")
    assert found == ([f"port 443/tcp (nginx): already in use by {holder}"] if holder else [])


def test_a_port_of_each_version_of_ip_is_not_one_twice() -> None:
    one, other = {"name": "a", "ports": ["0.0.0.0:443:1"]}, {"name": "b", "ports": ["[::]:443:1"]}
    assert preflight.port_problems([one, other], [], [], "x") == []
    for text in ("[::]:443:1", "[2001:DB8::1]:443:1", "443:1"):
        assert preflight.port_problems([other, {"name": "c", "ports": [text]}], [], [], "x") == [
            "port 443/tcp: published twice, by b and c"
        ]


def test_ports_published_twice() -> None:
    ftp = {"name": "ftp", "ports": ["127.0.0.1:443:2121", "21:2121", "30000-30009:30000-30009/tcp"]}
    other = {"name": "other", "ports": ["30009:1", "443:443/udp"]}
    assert preflight.port_problems([NGINX, ftp, other], [], [], "x") == [
        "port 443/tcp: published twice, by nginx and ftp",
        "port 30009/tcp: published twice, by ftp and other",
    ]


@pytest.mark.parametrize(
    "text", ["0:80", "65536:80", "80a:80", "80.5:80", "443", "", "30009-30000:1-9", "True:80", "-1:80"]
)
def test_ports_that_cannot_be_read(text: str) -> None:
    (problem,) = preflight.port_problems([{"name": "nginx", "ports": [text]}], [], [], "x")
    assert problem.startswith("nginx: ")


# --- Values against specifications ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "specification"),
    [
        (443, {"type": "int"}),
        ("443", {"type": "int"}),
        (65535, {"type": "int"}),
        (1, {"type": "int"}),
    ],
)
def test_ports_accepted(value: Any, specification: Mapping[str, Any]) -> None:
    assert preflight.value_problems("nginx_https_port", value, specification) == []


@pytest.mark.parametrize("value", [0, -1, 65536, "80a", 80.5, "80.5", True, [443], {}, "", "0"])
def test_ports_refused(value: Any) -> None:
    (problem,) = preflight.value_problems("nginx_https_port", value, {"type": "int", "default": 443})
    assert problem.startswith("nginx_https_port: ")


@pytest.mark.parametrize(
    ("name", "value", "specification"),
    [
        ("x_a", "text", {}),
        ("x_a", "", {"default": ""}),
        ("x_a", None, {}),
        ("x_a", "yes", {"type": "bool"}),
        ("x_a", False, {"type": "bool"}),
        ("x_a", 1, {"type": "float"}),
        ("x_a", "1.5", {"type": "float"}),
        ("x_a", ["b"], {"type": "list", "elements": "str", "choices": ["a", "b"]}),
        ("x_a", {"k": [1, 2]}, {"type": "dict", "options": {"k": {"type": "list", "elements": "int"}}}),
        ("x_a", {"any": "thing"}, {"type": "dict"}),
        ("x_a", object, {"type": "raw"}),
        ("x_memory", "512m", {}),
        ("x_buffer_pool", "", {"default": ""}),
        ("x_timeout", 1, {"type": "int"}),
        ("x_kept", 0, {"type": "int"}),
        ("x_cpus", 0.5, {"type": "float"}),
        ("x_bind_address", "::1", {}),
        ("x_bind_address", [ANYWHERE, "::"], {"type": "raw"}),
    ],
)
def test_values_accepted(name: str, value: Any, specification: Mapping[str, Any]) -> None:
    assert preflight.value_problems(name, value, specification) == []


BIND_RULE = "must be an IP address, 0.0.0.0 for all of IPv4, :: for all of IPv6, or a list of such addresses"
LIST_OF_A_B = {"type": "list", "elements": "str", "choices": ["a", "b"]}


def nested(**options: Any) -> dict[str, Any]:
    """Return the specification of a dict."""
    return {"type": "dict", "options": options}


@pytest.mark.parametrize(
    ("name", "value", "specification", "problem"),
    [
        ("x_a", 5, {}, "x_a: 5: must be text"),
        ("x_a", None, {"default": "b"}, "x_a: null: must have a value"),
        ("x_a", None, {"required": True}, "x_a: null: must have a value"),
        ("x_a", "maybe", {"type": "bool"}, 'x_a: "maybe": must be true or false'),
        ("x_a", 1, {"type": "bool"}, "x_a: 1: must be true or false"),
        ("x_a", "b", {"type": "list"}, 'x_a: "b": must be a list'),
        ("x_a", ["b"], {"type": "dict"}, 'x_a: ["b"]: must be a dict'),
        ("x_a", "c", {"choices": ["a", "b"]}, 'x_a: "c": must be one of a, b'),
        ("x_a", ["a", "c"], LIST_OF_A_B, 'x_a[1]: "c": must be one of a, b'),
        ("x_a", [None], {"type": "list", "elements": "str"}, "x_a[0]: null: must have a value"),
        ("x_a", {"kee": 1}, nested(key={"type": "int"}), "x_a.kee: unknown, did you mean key?"),
        ("x_a", {}, nested(key={"required": True}), "x_a.key: missing"),
        ("x_a", {"k": {"l": "z"}}, nested(k=nested(l={"type": "int"})), 'x_a.k.l: "z": must be a whole number'),
        ("x_memory", "512", {}, "x_memory: the size '512' has no unit: write 512m for megabytes, 512b for bytes"),
        ("x_memory", "0m", {}, "x_memory: the size '0m' must be greater than zero"),
        ("x_memory", "", {"default": "1g"},
         "x_memory: '' is not a size: write a number and a unit, such as 384m or 1.5g"),
        ("x_timeout", 0, {"type": "int"}, "x_timeout: 0: must be at least 1"),
        ("x_cpus", -1, {"type": "float"}, "x_cpus: -1: must be at least 1"),
        ("x_kept", -1, {"type": "int"}, "x_kept: -1: must be at least 0"),
        ("x_bind_address", "localhost", {},
         'x_bind_address: "localhost": ' + BIND_RULE),
        ("x_bind_address", [], {"type": "raw"}, "x_bind_address: []: must be at least one IP address"),
    ],
)  # fmt: skip
def test_values_refused(name: str, value: Any, specification: Mapping[str, Any], problem: str) -> None:
    assert preflight.value_problems(name, value, specification) == [problem]


def test_secrets_of_a_wrong_type_are_not_shown() -> None:
    specification = {"no_log": True, "type": "dict", "options": {"a": {"type": "int"}}}
    assert preflight.value_problems("x_secrets", {"a": "canary-7f3a"}, specification) == [
        "x_secrets.a: must be a whole number"
    ]


@pytest.mark.parametrize(
    ("options", "mtu", "warned"),
    [
        ({}, 1450, True),
        ({"com.docker.network.driver.mtu": "1500"}, 1450, True),
        ({"com.docker.network.driver.mtu": "1450"}, 1450, False),
        (None, 1500, False),
        ({}, 9000, False),
        ({}, 0, False),
    ],
)
def test_builds_that_may_hang_are_warned_of(options: Any, mtu: int, warned: bool) -> None:
    networks = [{"Name": "other", "Options": None}, {"Name": "bridge", "Options": options}]
    found = preflight.build_warnings(networks, mtu)
    assert [f'set "mtu": {mtu} in /etc/docker/daemon.json' in line for line in found] == [True] * warned
    assert preflight.build_warnings(networks[:1], mtu) == []


def test_nested_values_are_not_shown() -> None:
    assert shown({"password": "canary"}) == "{...}"
    assert shown([{"password": "canary"}]) == "[...]"
    assert shown([443, "a"]) == '[443, "a"]'


def test_long_values_are_cut() -> None:
    (problem,) = preflight.value_problems("x_a", ["y" * 500], {})
    assert len(problem) < 100


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nginx_https_prot", "nginx_https_prot: no such variable, did you mean nginx_https_port?"),
        ("nginx_zzz", "nginx_zzz: no such variable"),
        ("wordpres_sites", "wordpres_sites: no such variable, did you mean wordpress_sites?"),
        ("ngnix_https_port", "ngnix_https_port: no such variable, did you mean nginx_https_port?"),
    ],
)
def test_unknown_variables(name: str, problem: str) -> None:
    (found,) = preflight.variable_name_problems([name], ["nginx_https_port", "wordpress_sites"], ["nginx", "wordpress"])
    assert found.startswith(problem)


def test_other_variables_are_nobodys_business() -> None:
    names = ["nginx_https_port", "my_own", "ansible_nginx_port", "_nginx_x", "__nginx_https_porz", "groups"]
    assert preflight.variable_name_problems(names, ["nginx_https_port"], ["nginx"]) == []


# --- Target, controller and sums ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "architecture"),
    [
        ("Debian", "12", "x86_64"),
        ("Debian", "12.11", "aarch64"),
        ("Debian", "13", "x86_64"),
        ("Ubuntu", "24.04", "x86_64"),
    ],
)
def test_targets_accepted(name: str, version: str, architecture: str) -> None:
    target = host(distribution=name, distribution_version=version, architecture=architecture)
    assert preflight.target_problems(target) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"distribution_version": "11.9"},
            "distribution: Debian 11.9: must be one of Debian 12, Debian 13, Ubuntu 24.04",
        ),
        ({"distribution_version": "1"}, "distribution: Debian 1: "),
        ({"distribution_version": "130"}, "distribution: Debian 130: "),
        ({"distribution": "Ubuntu", "distribution_version": "22.04"}, "distribution: Ubuntu 22.04: "),
        ({"distribution": "Alpine", "distribution_version": "3.22"}, "distribution: Alpine 3.22: "),
        ({"architecture": "armv7l"}, "architecture: armv7l: must be one of amd64 (x86_64), arm64 (aarch64)"),
        ({"python_version": [3, 10, 4]}, "python on the target: 3.10: must be 3.11 or newer"),
    ],
)
def test_targets_refused(changes: dict[str, Any], problem: str) -> None:
    (found,) = preflight.target_problems(host(**changes))
    assert found.startswith(problem)


def test_controller() -> None:
    assert preflight.controller_problems([3, 11, 2]) == []
    assert preflight.controller_problems([3, 10, 0]) == ["python that runs Ansible: 3.10: must be 3.11 or newer"]


def test_resources() -> None:
    assert preflight.resource_problems(host(), "4g", "1g") == []
    (problem,) = preflight.resource_problems(host(memory=GIB), "4g", "2g")
    assert problem == "memory: 1.0 GiB: preflight_memory_min asks for 2.0 GiB"
    small = {"/srv/x": {"free": GIB, "device": 1, "read_only": False}}
    (problem,) = preflight.resource_problems(host(disks=small), "4g", "1g")
    assert problem == "disk below /srv/x: 1.0 GiB free: preflight_disk_min asks for 4.0 GiB"
    assert preflight.resource_problems(host(disks=small), "4g", "1g", running=True) == []
    (problem,) = preflight.resource_problems(
        host(disks={"/srv/x": {"free": 9 * GIB, "device": 1, "read_only": True}}), "4g", "1g"
    )
    assert problem == "disk below /srv/x: mounted read-only"


def test_one_disk_is_one_problem() -> None:
    full = {"device": 1, "free": 1, "read_only": False}
    other = {**full, "device": 2}
    problems = preflight.resource_problems(host(disks={"/a": full, "/b": full, "/c": other}), "4g", "1g")
    assert [problem.split(":")[0] for problem in problems] == ["disk below /a", "disk below /c"]


def test_each_limit_fits_into_the_memory() -> None:
    containers: list[dict[str, Any]] = [
        {"name": "a", "memory": "1g"},
        {"name": "b", "memory": "512m"},
        {"name": "c", "memory": None},
    ]
    assert preflight.limit_problems(containers, GIB) == []
    (problem,) = preflight.limit_problems(containers, GIB - 1)
    assert problem == "memory limit of a: 1.0 GiB: the target has 1024 MiB"


def test_what_is_needed_fits_into_the_memory() -> None:
    """The system's 256 MiB, 8 MiB for each container, and what they say: to the byte."""
    containers = [{"name": "a", "memory_needed": "300m"}, {"name": "b", "memory_needed": "400m"}, {"name": "c"}]
    needed = (256 + 3 * 8 + 700) << 20
    assert preflight.need_problems(containers, needed) == []
    (problem,) = preflight.need_problems(containers, needed - 1)
    assert problem == (
        "memory: 980 MiB: the stack needs 980 MiB (b 400 MiB, a 300 MiB, system and engine 280 MiB, c 0 MiB): take a "
        "larger machine, fewer sites or services, or smaller caches (mariadb_memory, redis_memory)"
    )


def test_of_many_needs_the_largest_are_named() -> None:
    containers = [{"name": f"site{number}", "memory_needed": f"{100 + number}m"} for number in range(20)]
    (problem,) = preflight.need_problems(containers, GIB)
    assert (
        "(system and engine 416 MiB, site19 119 MiB, site18 118 MiB, site17 117 MiB, site16 116 MiB, 16 more "
        in problem
    )


@pytest.mark.parametrize("mtu", [0, "0", 1280, 1420, "1450", 9000, 65535])
def test_sizes_of_packets(mtu: Any) -> None:
    assert preflight.mtu_problems({"stack_network_mtu": mtu}) == []


@pytest.mark.parametrize("mtu", [-1, 1, "1279", 65536])
def test_impossible_sizes_of_packets(mtu: Any) -> None:
    (problem,) = preflight.mtu_problems({"stack_network_mtu": mtu})
    assert problem == f"stack_network_mtu: {mtu}: must be from 1280 to 65535, or 0 for what the machine takes"


POOL = [{"Base": "172.18.0.0/16", "Size": 24}]


def networks(number: int, **changes: Any) -> list[str]:
    """Return the problems of a stack with so many networks, on a target that differs from the good one."""
    pools = changes.pop("pools", POOL)
    changes["routes"] = [{"network": route, "link": True} for route in changes.get("routes", [])]
    containers = [
        {"name": "a", "networks": ["n0"][:number]},
        {"name": "b", "networks": [f"n{n}" for n in range(number)]},
    ]
    return preflight.network_problems(containers, host(**changes), "shop", pools)


@pytest.mark.parametrize(
    ("number", "changes", "room"),
    [
        (256, {}, None),
        (257, {}, 256),
        # Those that the stack has need none; those of others are taken.
        (257, {"networks": {"shop-n0": ["172.18.0.0/24"]}}, 255),
        (256, {"networks": {"shop-n0": ["172.18.0.0/24"]}}, None),
        (256, {"networks": {"other": ["172.18.7.0/25", "fd00::/64"]}}, 255),
        (255, {"networks": {"other": ["172.18.7.0/24"]}}, None),
        # An engine's bridge is a route as well.
        (255, {"networks": {"other": ["172.18.7.0/24"]}, "routes": ["172.18.7.0/24", "192.0.2.0/24"]}, None),
        # Of an engine that is yet to be installed: its own first network.
        (255, {"engine": False}, None),
        (256, {"engine": False}, 256),
        (2, {"pools": [*POOL, {"base": "10.1.0.0/25", "size": 26}], "routes": ["172.16.0.0/12"]}, None),
        (3, {"pools": [*POOL, {"base": "10.1.0.0/25", "size": 26}], "routes": ["172.16.0.0/12"]}, 2),
        (3, {"pools": []}, None),
        (31, {"pools": []}, None),
        (32, {"pools": []}, 31),
        (0, {"routes": ["0.0.0.0/1", "128.0.0.0/1"]}, None),
        (1, {"routes": ["0.0.0.0/1", "128.0.0.0/1"]}, 0),
        # What the engine itself judges.
        (9, {"pools": [{"base": "nowhere", "size": 24}, {"base": "10.8.0.0/16", "size": 8}, "x", {"size": "y"}]}, None),
    ],
)  # fmt: skip
def test_the_engine_has_room_for_the_networks(number: int, changes: dict[str, Any], room: int | None) -> None:
    problems = networks(number, **changes)
    assert len(problems) == (room is not None)
    assert all(f" have room for {room}" in problem for problem in problems)


@pytest.mark.parametrize(
    ("changes", "all_count"),
    [
        ({"engine_version": "20.10.24+dfsg1"}, True),
        ({"engine_version": "22.06"}, True),
        ({"engine_version": "23.0.1"}, False),
        ({"engine_version": "library"}, False),
        ({"engine_version": ""}, False),
        ({"engine_version": "", "distribution_version": "12"}, True),
        ({"engine_version": "", "distribution_version": "12.7"}, True),
        ({"engine_version": "", "distribution": "Ubuntu", "distribution_version": "12"}, False),
        ({"engine_version": "26.1", "distribution_version": "12"}, False),
    ],
)
def test_routes_by_gateways_keep_older_engines_from_addresses(changes: dict[str, Any], all_count: bool) -> None:
    routes = [{"network": "10.0.0.0/8", "link": True}, {"network": "0.0.0.0/1", "link": False}]
    found = preflight.routes_in_the_way(host(routes=routes, **changes))
    assert found == (["10.0.0.0/8", "0.0.0.0/1"] if all_count else ["10.0.0.0/8"])


def test_a_refusal_for_lack_of_networks_says_why() -> None:
    (problem,) = networks(9, routes=["172.16.0.0/12", "10.0.0.0/8"])
    assert problem == (
        "networks: 9 to be made: the engine's address pools (172.18.0.0/16 in parts of /24) have room for 0, with "
        "routes of the host in the way: 172.16.0.0/12: declare other default-address-pools, in docker_daemon_options "
        "where the docker role manages the engine (docker_manage), else in its /etc/docker/daemon.json, and restart it"
    )


@pytest.mark.parametrize("line", ["init_file = /x", "init-file=/x", " LOOSE-Secure-File-Priv", "secure_file_priv="])
def test_role_s_own_directives_of_the_database_server_are_refused(line: str) -> None:
    (problem,) = preflight.database_problems({"mariadb_extra_config": f"slow_query_log = 1\n{line}\n"})
    assert problem.startswith(f"mariadb_extra_config: {line.split('=', maxsplit=1)[0].strip()!r}".replace("'", '"'))
    assert problem.endswith("take the line out")


def test_other_directives_and_privileges_are_accepted() -> None:
    extra = "# init_file = /x\nslow_query_log = 1\ninit_connect = 'x'\n"
    assert preflight.database_problems({"mariadb_extra_config": extra, "mariadb_privileges": ["SELECT"]}) == []


def test_privileges_of_a_site_are_checked() -> None:
    site = {"database_privileges": ["TRIGGER", "SUPER"]}
    problems = [line for line in preflight.one_site_problems("wordpress_sites.blog", site) if "privileges" in line]
    assert len(problems) == 1
    assert problems[0].startswith('wordpress_sites.blog.database_privileges[1]: "SUPER": must be one of ALTER, ')


@pytest.mark.parametrize(
    ("pool", "fits"), [("256m", True), ("400m", True), ("", True), ("450m", False), ("512m", False), ("2g", False)]
)
def test_buffer_pool_fits_into_the_container(pool: str, fits: bool) -> None:
    problems = preflight.buffer_problems({"mariadb_buffer_pool": pool, "mariadb_memory": "512m"})
    assert (problems == []) == fits


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"workers": 5}, False),
        ({"workers": 5, "memory": "1g"}, True),
        ({"memory_limit": "256m"}, False),
        ({"memory": "256m"}, False),
    ],
)
def test_workers_fit_into_the_container(changes: dict[str, Any], fits: bool) -> None:
    values = {"wordpress_workers": 4, "wordpress_memory_limit": "128m", "wordpress_memory": "512m"}
    problems = preflight.worker_problems({**values, "wordpress_sites": {"blog": site(**changes)}})
    assert (problems == []) == fits
    assert all(problem.startswith("wordpress_sites.blog: ") for problem in problems)


# --- All together ---------------------------------------------------------------------------------------------------

SPECS: dict[str, dict[str, Any]] = {
    "nginx_https_port": {"type": "int", "default": 443},
    "mariadb_root_password": {"type": "str", "no_log": True, "default": ""},
    "mariadb_passwords": {"type": "dict", "no_log": True},
    "stack_name": {"type": "str"},
    "stack_data_dir": {"type": "path"},
    "stack_installation_key": {"type": "str", "no_log": True},
    "wordpress_sites": {"type": "dict"},
}
VALUES: dict[str, Any] = {
    "nginx_https_port": 8443,
    "mariadb_root_password": "",
    "mariadb_passwords": {},
    "stack_name": "pressdock",
    "stack_data_dir": "/srv/pressdock",
    "stack_installation_key": KEY,
    "wordpress_sites": {"blog": SITE},
    "preflight_disk_min": "4g",
    "preflight_memory_min": "1g",
}


def declared(**changes: Any) -> preflight.Declared:
    """Return the good declaration with some variables replaced."""
    values = {**VALUES, **changes}
    return preflight.Declared(
        values=values, specs=SPECS, names=list(SPECS), prefixes=["nginx", "mariadb"], containers=[NGINX]
    )


SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
RELEASE = {"wordpress_source": "release", "wordpress_release_version": "6.9.1", "wordpress_release_sha256": SHA256}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"wordpress_source": "debian", "wordpress_release_version": "", "wordpress_release_sha256": ""}, None),
        ({"wordpress_release_version": ""}, 'wordpress_release_version: "": must be a version such as 6.9.1'),
        ({"wordpress_release_version": "6.9'; id"}, 'wordpress_release_version: "6.9\'; id": must be a version'),
        ({"wordpress_release_sha256": SHA256.upper()}, "wordpress_release_sha256: "),
        ({"wordpress_release_url": "ftp://x/y"}, 'wordpress_release_url: "ftp://x/y": must be an address'),
        ({"wordpress_release_url": "https://x/wordpress-6.9.1.tar.gz"}, None),
        ({"wordpress_directory_url": "http://10.0.0.7:8080"}, None),
        ({"wordpress_directory_url": "https://x/' y"}, "wordpress_directory_url: "),
    ],
)
def test_sources(changes: dict[str, Any], problem: str | None) -> None:
    problems = preflight.source_problems({**RELEASE, **changes})
    assert len(problems) == (problem is not None)
    assert all(line.startswith(str(problem)) for line in problems)


def test_downloads_need_a_way_outside() -> None:
    sites = {"blog": site(plugins=["akismet", {"slug": "crane", "version": "1.2"}])}
    assert preflight.source_problems({"wordpress_sites": sites, "wordpress_outbound": True}) == []
    (problem,) = preflight.source_problems({"wordpress_sites": sites, "wordpress_outbound": False})
    assert problem.startswith("wordpress_sites.blog.plugins[1]: comes from WordPress's directory")


CADVISOR = {
    "cadvisor_source": "auto",
    "cadvisor_go_proxy": "",
    "cadvisor_release_url": "",
    "cadvisor_release_sha256": "",
    "cadvisor_debian_sources": [],
}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"cadvisor_release_url": "https://x/cadvisor", "cadvisor_release_sha256": SHA256}, None),
        ({"cadvisor_release_url": "https://x/cadvisor"}, "cadvisor_release_sha256: "),
        (
            {"cadvisor_release_url": "https://x/cadvisor", "cadvisor_release_sha256": SHA256[1:]},
            "cadvisor_release_sha256: ",
        ),
        (
            {"cadvisor_source": "release", "cadvisor_release_sha256": SHA256},
            'cadvisor_release_url: "": must be an address',
        ),
        (
            {"cadvisor_release_url": "x", "cadvisor_release_sha256": SHA256},
            'cadvisor_release_url: "x": must be an address',
        ),
        ({"cadvisor_go_proxy": "https://go.example.org|http://10.0.0.1:3000/x,direct"}, None),
        ({"cadvisor_go_proxy": "go.example.org"}, 'cadvisor_go_proxy: "go.example.org": must be addresses'),
        ({"cadvisor_go_proxy": "off,"}, 'cadvisor_go_proxy: "": must be addresses'),
        ({"cadvisor_debian_sources": ["deb [trusted=no] http://old.example.org/debian bullseye main contrib"]}, None),
        ({"cadvisor_debian_sources": ["http://old.example.org/debian"]}, "cadvisor_debian_sources: "),
        ({"cadvisor_debian_sources": ["deb http://x/ bullseye main\ndeb http://y/ z w"]}, "cadvisor_debian_sources: "),
    ],
)
def test_cadvisor(changes: dict[str, Any], problem: str | None) -> None:
    problems = preflight.cadvisor_problems({**CADVISOR, **changes})
    assert len(problems) == (problem is not None), problems
    assert all(line.startswith(str(problem)) for line in problems), problems


def test_all_rules_pass_together() -> None:
    assert preflight.declared_problems(declared()) == []
    assert preflight.host_problems(declared(), HOST) == []


@pytest.mark.parametrize(
    ("values", "enabled", "lacking", "expected"),
    [
        ({"stack_ipv6": "auto"}, False, ["no address"], []),
        ({"stack_ipv6": True}, True, [], []),
        ({"stack_ipv6": True}, False, ["no address", "no table"], ["stack_ipv6: true: no address; no table"]),
        ({"stack_ipv6": False, "nginx_bind_address": [ANYWHERE]}, False, [], []),
        (
            {"stack_ipv6": False, "nginx_bind_address": "::"},
            False,
            [],
            ['nginx_bind_address: "::": the stack has no IPv6: stack_ipv6 is false'],
        ),
        (
            {"nginx_bind_address": ["192.0.2.1", "2001:db8::1"]},
            False,
            ["no address"],
            ['nginx_bind_address: ["192.0.2.1", "2001:db8::1"]: the stack has no IPv6: no address'],
        ),
        (
            {"stack_ipv6": "auto", "ftp_bind_address": "::"},
            False,
            [],
            ['ftp_bind_address: "::": the stack has no IPv6: all sites are called localhost: set stack_ipv6 to true'],
        ),
        ({"nginx_bind_address": "::"}, True, [], []),
        # Each has a line of its own.
        ({"stack_ipv6": "perhaps", "nginx_bind_address": "::"}, False, ["no address"], []),
        ({"nginx_bind_address": "x::y"}, False, ["no address"], []),
    ],
)
def test_ipv6_where_it_is_not(values: dict[str, Any], enabled: bool, lacking: list[str], expected: list[str]) -> None:
    found = preflight.Declared(values=values, ipv6=enabled, ipv6_lacking=lacking)
    assert preflight.ipv6_problems(found, HOST) == expected


def test_ipv6_ranges_of_others() -> None:
    found = preflight.Declared(
        values={"stack_name": "shop", "container_ipv6_networks": {"edge": "fd00:1::/64"}}, ipv6=True
    )
    assert preflight.ipv6_problems(found, HOST) == []
    (problem,) = preflight.ipv6_problems(found, host(networks={"other": ["fd00:1::/48"]}))
    assert problem.startswith("networks: fd00:1::/64, of shop-edge, overlaps with the network other")


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"stack_ipv6": "perhaps"}, 'stack_ipv6: "perhaps": must be auto, true or false'),
        ({"stack_ipv6": None}, "stack_ipv6: null: must be auto, true or false"),
        ({"stack_ipv6_prefix": "fd00::/64"}, 'stack_ipv6_prefix: "fd00::/64": must be a /48, such as'),
        ({"stack_ipv6": "true", "stack_ipv6_prefix": ""}, None),
        ({}, None),
    ],
)
def test_wishes_for_ipv6(values: dict[str, Any], start: str | None) -> None:
    problems = preflight.declared_problems(declared(**values))
    assert len(problems) == (start is not None)
    assert all(line.startswith(str(start)) for line in problems)


def test_all_problems_are_collected() -> None:
    wrong = declared(
        nginx_https_port=0,
        mariadb_root_password="canary",
        stack_name="",
        wordpress_sites={"blog": site(domain="", administrator={**account("admin"), "password": "canary"})},
    )
    problems = preflight.declared_problems(wrong)
    for start in (
        "nginx_https_port: 0: ",
        "mariadb_root_password: must have at least",
        "stack_name: ",
        "wordpress_sites.blog.domain: ",
        "wordpress_sites.blog.administrator: login",
        "wordpress_sites.blog.administrator.password: must have at least",
    ):
        assert any(line.startswith(start) for line in problems), (start, problems)
    assert not any("canary" in line for line in problems)
    bad_host = host(architecture="mips", memory=1, listeners=[listening(443)], real_data_dir="/etc")
    problems = preflight.host_problems(wrong, bad_host)
    for start in ("architecture: ", "memory: ", "port 443/tcp", "stack_data_dir: "):
        assert any(line.startswith(start) for line in problems), (start, problems)


@pytest.mark.parametrize(
    ("path", "real", "fits"),
    [
        ("/srv/shop", "/srv/shop", True),
        ("/srv/harbour2", "/srv/harbour2", True),
        ("/srv/harbour", "/srv/harbour", False),
        ("/srv/harbour/shop", "/srv/harbour/shop", False),
        ("/srv/", "/srv", False),
        ("/data", "/srv/harbour", False),
        (5, None, True),
    ],
)
def test_data_of_another_stack(path: Any, real: str | None, fits: bool) -> None:
    found = preflight.other_stack_problems(path, real, {"/srv/harbour": "harbour"})
    assert (found == []) == fits
    assert all("the stack harbour has its data in /srv/harbour" in problem for problem in found)
    assert (preflight.host_problems(declared(stack_data_dir="/data/harbour"), host(
        stacks={"/data/harbour": "harbour"}, real_data_dir="/data/harbour")) != [])  # fmt: skip


def test_own_values_are_not_lost_to_the_project_s() -> None:
    shipped = ("stack.yml",)
    mine = {"stack_name": "shop"}
    theirs: dict[str, Any] = {"stack_name": "pressdock", "stack_ftp": True}
    (problem,) = preflight.file_problems({"mine.yml": mine, "stack.yml": theirs}, shipped)
    assert problem == (
        "stack_name: declared in group_vars/all/mine.yml, but group_vars/all/stack.yml is read after it and wins: move "
        "your value to group_vars/stack.yml, which wins over both"
    )
    for fine in ({"stack.yml": theirs, "zz.yml": mine}, {"mine.yml": {"stack_name": "pressdock"}, "stack.yml": theirs}):
        assert preflight.file_problems(fine, shipped) == []


def test_two_containers_of_one_name() -> None:
    twice = declared()
    twice.containers = [NGINX, {**NGINX, "ports": []}]
    (problem,) = preflight.host_problems(twice, HOST)
    assert problem.startswith("containers: two would be called pressdock-nginx")


def test_wired_variables_do_not_repeat_the_cause() -> None:
    specs = {"nginx_https_port": {"type": "int"}, "wordpress_https_port": {"type": "int"}}
    wrong = preflight.Declared(
        values={"nginx_https_port": "80a", "wordpress_https_port": "80a"}, specs=specs, wired=["wordpress_https_port"]
    )
    assert preflight.declared_problems(wrong) == ['nginx_https_port: "80a": must be a whole number']
    wrong.values = {"nginx_https_port": 443, "wordpress_https_port": "80a"}
    assert preflight.declared_problems(wrong) == ['wordpress_https_port: "80a": must be a whole number']


def test_a_wrong_sites_variable_is_one_problem() -> None:
    assert preflight.declared_problems(declared(wordpress_sites=[])) == ["wordpress_sites: []: must be a dict"]


@pytest.mark.parametrize(
    ("switch", "checked"), [(..., True), (True, True), ("yes", True), (False, False), ("no", False)]
)
def test_the_cache_s_memory_matters_where_it_is_switched_on(switch: Any, checked: bool) -> None:
    switched = {} if switch is ... else {"stack_redis": switch}
    problems = preflight.declared_problems(declared(redis_memory="1m", **switched))
    assert len(problems) == checked
    assert all(problem.startswith('redis_memory: "1m": ') for problem in problems)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, ""),
        ({"adminer_upload_limit": "40m"}, "adminer_upload_limit: "),
        ({"adminer_memory_limit": "200m"}, "adminer_memory: "),
        ({"adminer_workers": 5}, "adminer_memory: "),
        ({"adminer_workers": "5"}, "adminer_memory: "),
        # These have lines of their own.
        ({"adminer_workers": "many"}, ""),
        ({"adminer_memory": "x"}, ""),
    ],
)
def test_adminer_fits_into_its_memory(changes: dict[str, Any], problem: str) -> None:
    values = {
        "adminer_workers": 3, "adminer_memory_limit": "96m", "adminer_upload_limit": "16m", "adminer_memory": "384m",
    }  # fmt: skip
    found = preflight.adminer_problems({**values, **changes})
    assert len(found) == (1 if problem else 0)
    assert not problem or found[0].startswith(problem)


@pytest.mark.parametrize("rate", ["10r/m", "1r/s", "30r/s"])
def test_rates_accepted(rate: str) -> None:
    assert preflight.rate_problems({"nginx_service_rate": rate, "nginx_service_burst": 0}) == []


@pytest.mark.parametrize("rate", ["", "10", "0r/m", "10r/h", "1r/m; deny all", 5, None, "-1r/s"])
def test_rates_refused(rate: Any) -> None:
    (problem,) = preflight.rate_problems({"nginx_login_rate": rate})
    assert problem.startswith("nginx_login_rate: ")
    (problem,) = preflight.rate_problems({"nginx_service_burst": -1})
    assert problem == "nginx_service_burst: -1: must be at least 0"


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("stack_patience", 100),
        ("container_health_interval", 3600),
        ("container_health_timeout", 3600),
        ("container_healthy_timeout", 86400),
    ],
)
def test_waiting_takes_some_time_and_ends(name: str, most: int) -> None:
    for value in (1, "7", most):
        assert preflight.waiting_problems({name: value}) == []
    for value in (0, most + 1):
        assert preflight.waiting_problems({name: value}) == [f"{name}: {value}: must be 1 to {most}"]
    assert preflight.waiting_problems({name: "x"}) == [], "a wrong type has a line already"


@pytest.mark.parametrize("patience", [0.9, float("nan"), float("inf")])
def test_a_machine_is_not_quicker_than_an_ordinary_one(patience: float) -> None:
    assert preflight.waiting_problems({"stack_patience": 1.5}) == []
    (problem,) = preflight.waiting_problems({"stack_patience": patience})
    assert problem.endswith("must be 1 to 100")


# --- Limits of PHP --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cache", "memory", "rule"),
    [("64m", "384m", ""), ("8m", "384m", ""), ("192m", "384m", ""), ("7m", "384m", "PHP needs 8 MiB"),
     ("193m", "384m", "at most half"), ("x", "384m", "")],
)  # fmt: skip
def test_opcode_cache(cache: str, memory: str, rule: str) -> None:
    common = {"wordpress_opcache_memory": cache, "wordpress_memory": memory, "wordpress_sites": {"blog": {}}}
    own = {
        "wordpress_opcache_memory": "64m",
        "wordpress_memory": "2g",
        "wordpress_sites": {"blog": {"opcache_memory": cache, "memory": memory}},
    }
    for values in (common, own):
        problems = preflight.opcode_problems(values)
        assert len(problems) == bool(rule)
        assert all(rule in problem and problem.startswith("wordpress_sites.blog: ") for problem in problems)


@pytest.mark.parametrize(("key", "value"), [("max_execution_time", 0), ("max_input_vars", -1), ("workers", 0)])
def test_counts_of_a_site(key: str, value: int) -> None:
    spec = {name: {"type": "raw"} for name in SITE} | {key: {"type": "int"}}
    assert preflight.site_problems({"blog": site(**{key: 1})}, spec) == []
    (problem,) = preflight.site_problems({"blog": site(**{key: value})}, spec)
    assert problem == f"wordpress_sites.blog.{key}: {value}: must be at least 1"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("drift_timer_schedule", "", "must be a time as OnCalendar"),
        ("drift_timer_schedule", "daily\nUser=root", "must be a time as OnCalendar"),
        ("drift_timer_schedule", "%h", "must be a time as OnCalendar"),
        ("drift_timer_random_delay", "--help", "must be a time span"),
        ("drift_timer_time_limit", "1h;reboot", "must be a time span"),
        ("drift_timer_user", "Some Body", "must be the name of a user"),
        ("drift_timer_directory", "/etc", "a directory of the system"),
        ("drift_timer_directory", "gauges", "must be an absolute path"),
        ("drift_timer_metrics_file", "/srv/gauges/drift.txt", "ends in .prom"),
        ("drift_timer_metrics_file", "/srv/../etc/drift.prom", "must be an absolute path"),
        ("drift_timer_metrics_file", "/srv/two words/drift.prom", "must be an absolute path"),
        ("drift_timer_arguments", ["--limit=a b"], "may contain letters"),
        ("drift_timer_arguments", ["$HOME"], "may contain letters"),
        ("ansible_config_file", "/home/me/my project/ansible.cfg", "the project's path"),
    ],
)
def test_drift_timer_refused(name: str, value: Any, rule: str) -> None:
    (problem,) = preflight.drift_timer_problems({name: value})
    assert problem.startswith(name)
    assert rule in problem


def test_drift_timer_accepted() -> None:
    good = {
        "drift_timer_schedule": "Mon..Fri *-*-* 00/6:17:00",
        "drift_timer_random_delay": "1h 30min",
        "drift_timer_time_limit": "90",
        "drift_timer_user": "deploy",
        "drift_timer_directory": "/srv/gauges",
        "drift_timer_metrics_file": "/var/lib/prometheus/node-exporter/pressdock.prom",
        "drift_timer_arguments": ["--inventory=inventory/production.yml", "--limit=web-1.example.org,web-2"],
        "ansible_config_file": "/opt/pressdock/ansible.cfg",
    }
    assert preflight.drift_timer_problems(good) == []
    assert preflight.drift_timer_problems({}) == []
    assert preflight.drift_timer_problems(dict.fromkeys(good)) == []


# --- What modules import on the target ------------------------------------------------------------------------------

LIBRARIES = {"cryptography": "python3-cryptography", "requests": "python3-requests"}


def test_libraries_that_packages_bring_are_no_problem() -> None:
    assert preflight.library_problems(LIBRARIES, host(missing_libraries=["requests"])) == []


def test_python_that_packages_do_not_reach_is_named_with_what_it_lacks() -> None:
    """At once: to install the packages would change nothing."""
    other = {"path": "/opt/python/bin/python3", "packaged": False}
    assert preflight.library_problems(LIBRARIES, host(python=other)) == []
    (problem,) = preflight.library_problems(LIBRARIES, host(python=other, missing_libraries=["requests"]))
    assert "/opt/python/bin/python3: does not find requests" in problem
    assert "python3-requests" in problem
    assert "cryptography" not in problem
    assert "ansible_python_interpreter" in problem


def test_path_of_root_without_its_programs_is_refused() -> None:
    assert preflight.target_problems(host()) == []
    (problem,) = preflight.target_problems(host(root_path=False))
    assert "PATH of root" in problem
    assert "ansible_become_flags" in problem
