"""The FTP server's logins: hashes that Debian's crypt(3) takes, and what wiring and preflight say about them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import ftp, preflight, wiring
from hostile import HOSTILE

KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
HOMES = {"blog": "/srv/ftp/blog", "shop": "/srv/ftp/shop"}


def test_published_vector() -> None:
    """RFC 7914's third test vector (its first 32 bytes), in crypt's notation as libxcrypt's own tests have it."""
    expected = "$7$C6..../....SodiumChloride$kBGj9fHznVYFQMEn/qDCfrDevf9YDtcDdKvEqHJLV8D"
    assert ftp.scrypt_crypt("pleaseletmein", "SodiumChloride", 14, 8) == expected


def test_debian_s_crypt_says_the_same() -> None:
    """From perl's crypt() in a Debian 13 container, for the costs that are used."""
    expected = "$7$A6..../....saltsalt$tX3Cr5u5jljldPtTv5eu12Yr/GQdatjiw1cbn1kqxfB"
    assert ftp.scrypt_crypt("secret word 12", "saltsalt") == expected


@pytest.mark.parametrize("password", [text for text in HOSTILE if not set(text) & set("\r\n\0")])
def test_hostile_passwords_fit_into_a_line(password: str) -> None:
    users = ftp.ftp_users({"blog": password}, HOMES, 613, KEY)
    fields = users.removesuffix("\n").split(":")
    assert len(fields) == 7
    assert [fields[0], *fields[2:]] == ["blog", "613", "613", "", "/srv/ftp/blog", "/usr/sbin/nologin"]
    assert password not in users or len(password) < 6
    assert users == ftp.ftp_users({"blog": password}, HOMES, 613, KEY), "the same on every run"


def test_equal_passwords_have_other_hashes() -> None:
    lines = ftp.ftp_users({"shop": "the same word", "blog": "the same word"}, HOMES, 613, KEY).splitlines()
    assert [line.split(":")[0] for line in lines] == ["blog", "shop"]
    assert len({line.split(":")[1] for line in lines}) == 2


@pytest.mark.parametrize("password", ["", "x" * 501, "é" * 251, "a\nb", "a\rb", "a\0b", "\ud800"])
def test_what_ftp_cannot_carry_is_refused_without_being_shown(password: str) -> None:
    with pytest.raises(AnsibleFilterError) as error:
        ftp.scrypt_crypt(password, "saltsalt")
    assert len(password) < 2 or password not in str(error.value)


# --- Wiring -----------------------------------------------------------------------------------------------------------

SITES: dict[str, dict[str, Any]] = {
    "blog": {"domain": "blog.example", "aliases": ["www.blog.example"]},
    "closed": {"domain": "closed.example", "ftp": False},
    "shop": {"domain": "shop.example", "ftp_password": "chosen by the operator"},
}


def test_each_site_has_a_login_on_its_own_volume() -> None:
    derived = {name: f"derived for {name}" for name in SITES}
    assert wiring.ftp_logins(SITES, derived) == {
        "blog": {"password": "derived for blog", "volume": "site-blog", "location": "sites/blog/wp-content"},
        "shop": {"password": "chosen by the operator", "volume": "site-shop", "location": "sites/shop/wp-content"},
    }


def test_certificate_is_for_all_names() -> None:
    names = ["blog.example", "www.blog.example", "shop.example"]
    assert wiring.ftp_certificate(SITES) == {"domains": names}


def test_certificate_of_the_first_site_is_shown() -> None:
    tls = {"certificate": "/a.pem", "key": "/a.key"}
    sites = {"blog": {**SITES["blog"], "tls": tls}, "shop": SITES["shop"]}
    assert wiring.ftp_certificate(sites) == {"domains": ["blog.example", "www.blog.example"], **tls}


@pytest.mark.parametrize(("sites", "domains"), [({}, ["localhost"]), ({"closed": SITES["closed"]}, ["closed.example"])])
def test_there_is_always_a_name(sites: dict[str, Any], domains: list[str]) -> None:
    assert wiring.ftp_certificate(sites) == {"domains": domains}


# --- Preflight --------------------------------------------------------------------------------------------------------

VALUES: dict[str, Any] = {
    "ftp_passive_address": "192.0.2.9",
    "ftp_passive_first_port": 40000,
    "ftp_passive_last_port": 40009,
    "ftp_clients": 10,
    "ftp_clients_per_address": 3,
    "ftp_login_failures": 3,
    "ftp_ban_minutes": 5,
    "ftp_memory": "128m",
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ftp_passive_address": ""},
        {"ftp_passive_address": "127.0.0.1"},
        {"ftp_passive_first_port": "40000", "ftp_passive_last_port": "40009"},
        {"ftp_passive_first_port": 40009, "ftp_clients": 1},
    ],
)
def test_settings_accepted(changes: dict[str, Any]) -> None:
    assert preflight.ftp_problems({**VALUES, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"ftp_passive_last_port": 39999},
            "ftp_passive_last_port: 39999: must not be less than ftp_passive_first_port",
        ),
        ({"ftp_passive_last_port": 40008}, "ftp_passive_last_port: 40008: 9 ports from ftp_passive_first_port (40000)"),
        ({"ftp_clients": 0}, "ftp_clients: 0: must be at least 1"),
        ({"ftp_clients_per_address": -1}, "ftp_clients_per_address: -1: must be at least 1"),
        ({"ftp_login_failures": 0}, "ftp_login_failures: 0: must be at least 1"),
        ({"ftp_ban_minutes": 0}, "ftp_ban_minutes: 0: must be at least 1"),
        ({"ftp_memory": "64m"}, "ftp_clients: 10: so many sessions may need 70 MiB: ftp_memory is 64 MiB"),
        *[
            ({"ftp_passive_address": value}, "ftp_passive_address: ")
            for value in ("0.0.0.0", "blog.example", "::1", "192.0.2", "192.0.2.256", "224.0.0.1", "192.0.2.1;x")  # noqa: S104
        ],
    ],
)
def test_settings_refused(changes: dict[str, Any], problem: str) -> None:
    (found,) = preflight.ftp_problems({**VALUES, **changes})
    assert found.startswith(problem)


@pytest.mark.parametrize(
    ("ports", "problem"),
    [
        (
            ["0.0.0.0:2121:2121/tcp", "0.0.0.0:2120-2125:2120-2125/tcp"],
            "port 2121/tcp: published twice, by ftp and ftp",
        ),
        (
            ["0.0.0.0:21:2121/tcp", "0.0.0.0:8440-8450:8440-8450/tcp"],
            "port 8443/tcp: published twice, by nginx and ftp",
        ),
    ],
)
def test_range_meets_no_other_port(ports: list[str], problem: str) -> None:
    containers = [{"name": "nginx", "ports": ["0.0.0.0:8443:8443/tcp"]}, {"name": "ftp", "ports": ports}]
    assert preflight.port_problems(containers, [], [], "x") == [problem]


def test_port_of_the_range_is_taken() -> None:
    containers = [{"name": "ftp", "ports": ["192.0.2.1:40000-40003:40000-40003/tcp"]}]
    listener = {"address": "0.0.0.0", "port": 40002, "protocol": "tcp", "process": "sshd"}  # noqa: S104
    (problem,) = preflight.port_problems(containers, [listener], [], "x")
    assert problem.startswith(
        "port 40002/tcp (ftp): already in use by sshd; Linux gives ports from 32768 on to any program"
    )


@pytest.mark.parametrize(
    ("password", "rule"),
    [
        ("line\nbreak and more", "must not contain NUL, line breaks"),
        ("carriage\rreturn, too", "must not contain NUL, line breaks"),
        ("nul\0 in the middle", "must not contain NUL, line breaks"),
        ("short", "must have at least 12 characters"),
        ("changeme1234", "placeholder"),
    ],
)
def test_passwords_of_sites_are_checked(password: str, rule: str) -> None:
    secrets = preflight.site_secrets({"blog": {"ftp_password": password}})
    (problem,) = preflight.secret_problems(secrets)
    assert problem.startswith("wordpress_sites.blog.ftp_password: ")
    assert rule in problem
    assert password not in problem


def test_password_that_is_too_long_is_refused() -> None:
    sites = {"blog": {"ftp_password": "é0" * 167}, "shop": {"ftp_password": "é0" * 166}}
    problems = preflight.ftp_problems({**VALUES, "wordpress_sites": sites})
    assert problems == ["wordpress_sites.blog.ftp_password: must have at most 500 bytes"]
