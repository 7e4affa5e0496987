"""Whether a stack has IPv6, which ranges its networks have, and where its ports are published."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import ipv6

ANYWHERE = "0.0.0.0"  # noqa: S104 - compared with, not bound
FOUND: dict[str, Any] = {
    "addresses": ["2001:db8::5/64"], "announced": [], "translation": True, "engine": {},
}  # fmt: skip
SITES = {"blog": {"domain": "blog.example.org"}}


def host(version: str = "", **changes: Any) -> dict[str, Any]:
    """Return a target with everything that IPv6 needs, but for changes."""
    return {"engine_version": version, "networks": {}, "ipv6": {**FOUND, **changes}}


# --- Addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "ports"),
    [
        ("192.0.2.1", ["192.0.2.1:443:8443/tcp"]),
        ("::", ["[::]:443:8443/tcp"]),
        ([ANYWHERE, "::"], [f"{ANYWHERE}:443:8443/tcp", "[::]:443:8443/tcp"]),
        (("2001:db8::5", "192.0.2.1"), ["[2001:db8::5]:443:8443/tcp", "192.0.2.1:443:8443/tcp"]),
    ],
)
def test_ports_are_published_on_each_address(declared: Any, ports: list[str]) -> None:
    assert ipv6.published(declared, "443:8443/tcp") == ports


@pytest.mark.parametrize("declared", [ANYWHERE, "::", "::1", "2001:db8::5", ["192.0.2.1"], [ANYWHERE, "::"]])
def test_addresses_accepted(declared: Any) -> None:
    assert ipv6.bind_address_problem(declared) is None


@pytest.mark.parametrize(
    "declared",
    ["", "localhost", "[::]", "::/0", "fe80::1%eth0", "1.2.3", 5, None, {}, True, [], ["::", "x"], [["::"]], [4],
     ["::", "::"]],
)  # fmt: skip
def test_addresses_refused(declared: Any) -> None:
    assert str(ipv6.bind_address_problem(declared)).startswith("must ")


@pytest.mark.parametrize(
    ("declared", "address"),
    [
        (ANYWHERE, "127.0.0.1"),
        (["::", ANYWHERE], "127.0.0.1"),
        (["2001:db8::5", "192.0.2.1"], "192.0.2.1"),
        ("2001:db8::5", "2001:db8::5"),
        # What is sent to ::1 is forwarded to nobody; the machine is the first on each network.
        ("::", "fd12:3456:789a:7::1"),
    ],
)
def test_the_machine_reaches_what_it_publishes(declared: Any, address: str) -> None:
    assert ipv6.local_address(declared, {"edge": "fd12:3456:789a:7::/64"}) == address


# --- Ranges ---------------------------------------------------------------------------------------------------------


def test_ranges_are_private_and_always_the_same() -> None:
    found = ipv6.ipv6_networks(["edge", "other", "edge"], "shop")
    assert found == ipv6.ipv6_networks(["other", "edge"], "shop")
    ranges = [ipaddress.IPv6Network(text) for text in found.values()]
    assert list(found) == ["edge", "other"]
    assert all(one.prefixlen == 64 and one.subnet_of(ipaddress.IPv6Network("fd00::/8")) for one in ranges)
    assert not ranges[0].overlaps(ranges[1])
    assert ranges[0].supernet(new_prefix=48) == ranges[1].supernet(new_prefix=48)
    # A range that exists must not become another one by a change of this code: its network would be made anew.
    assert ipv6.ipv6_networks(["edge"], "pressdock") == {"edge": "fd54:9585:a78d:a1cb::/64"}


def test_stacks_have_different_ranges() -> None:
    assert ipv6.ipv6_networks(["edge"], "shop") != ipv6.ipv6_networks(["edge"], "blog")


def test_range_of_the_operator_s() -> None:
    found = ipv6.ipv6_networks(["edge"], "shop", "fd12:3456:789a::/48")["edge"]
    assert ipaddress.IPv6Network(found).subnet_of(ipaddress.IPv6Network("fd12:3456:789a::/48"))
    assert ipv6.ipv6_networks([], "shop") == {}


def test_many_networks_do_not_meet() -> None:
    """Two of so many names have the same digest: two bytes of it are little."""
    names = [f"net{number}" for number in range(2000)]
    assert len(set(ipv6.ipv6_networks(names, "shop").values())) == len(names)


@pytest.mark.parametrize("prefix", ["fd12:3456:789a::/48", "2001:db8:7::/48"])
def test_prefixes_accepted(prefix: str) -> None:
    assert ipv6.prefix_problem(prefix) is None


@pytest.mark.parametrize(
    "prefix",
    [
        "fd12::/64",
        "fd12:3456:789a::1/48",
        "fd12:3456:789a::",
        "10.0.0.0/8",
        "x",
        5,
        None,
        "fe80::/48",
        "ff02::/48",
        "::/48",
    ],
)
def test_prefixes_refused(prefix: Any) -> None:
    assert ipv6.prefix_problem(prefix)


def test_ranges_of_others_are_left_to_them() -> None:
    ours = {"edge": "fd12:3456:789a:7::/64"}

    def problems(networks: dict[str, list[str]], *addresses: str) -> list[str]:
        return ipv6.range_problems(ours, {**host(addresses=addresses), "networks": networks}, "shop")

    assert problems({"shop-edge": [ours["edge"]], "x": ["10.0.0.0/8", "fd12:3456:789a:8::/64"]}, "2001:db8::5/64") == []
    end = ": set another stack_ipv6_prefix"
    assert problems({"quay-edge": ["fd12:3456:789a::/48"]}) == [
        f"networks: fd12:3456:789a:7::/64, of shop-edge, overlaps with the network quay-edge{end}"
    ]
    assert problems({}, "fd12:3456:789a:7::9/64") == [
        "networks: fd12:3456:789a:7::/64, of shop-edge, overlaps with the machine's address fd12:3456:789a:7::9/64"
        + end
    ]


# --- The decision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "options", "translates"),
    [
        ("20.10.24+dfsg1", {}, False),
        ("26.1.5", {"ip6tables": True}, False),
        ("26.1.5", {"ip6tables": True, "experimental": True}, True),
        ("26.1.5", {"ip6tables": True, "experimental": True, "iptables": False}, False),
        ("27.0.1", {}, True),
        ("28.2.2", {"ip6tables": False}, False),
        ("28.2.2", {"iptables": False}, False),
        ("", {}, False),
        ("", {"ip6tables": True, "experimental": True}, True),
    ],
)
def test_engines_that_translate(version: str, options: dict[str, Any], translates: bool) -> None:
    assert ipv6.engine_translates(version, options) is translates


@pytest.mark.parametrize(
    ("found", "managed", "options", "reason"),
    [
        (host(), True, {}, None),
        (host(translation=None), True, {}, None),
        (host("28.0.0"), False, {}, None),
        (host("26.1.5", engine={"ip6tables": True, "experimental": True}), False, {}, None),
        # What is declared for an engine that is somebody else's is not what it has.
        (host("28.0.0"), False, {"ip6tables": False}, None),
        ({}, True, {}, "no IPv6 address"),
        (host(addresses=[]), True, {}, "no IPv6 address"),
        (host(translation=False), True, {}, "ip6tables --table nat"),
        (host(announced=["ens3"]), True, {}, "net.ipv6.conf.ens3.accept_ra to 2"),
        (host(), True, {"ip6tables": False}, "docker_daemon_options.ip6tables is false"),
        (host(), True, {"experimental": False}, "docker_daemon_options.experimental is false"),
        (host("26.1.5"), False, {}, "set ip6tables to true"),
        (host("26.1.5"), False, {"ip6tables": True, "experimental": True}, "set ip6tables to true"),
    ],
)
def test_what_a_target_lacks(found: dict[str, Any], managed: bool, options: dict[str, Any], reason: str | None) -> None:
    reasons = ipv6.lacking(found, managed, options)
    assert len(reasons) == (reason is not None), reasons
    assert str(reason or "") in "".join(reasons)


@pytest.mark.parametrize(
    ("declared", "reasons", "sites", "decided"),
    [
        ("auto", [], SITES, True),
        ("auto", ["none"], SITES, False),
        # Programs of the machine itself would try ::1 first, where nobody answers.
        ("auto", [], {"blog": {"domain": "localhost"}}, False),
        ("auto", [], {"blog": {"domain": "localhost"}, "shop": {"domain": "shop.localhost"}}, False),
        ("auto", [], {"blog": {"domain": "localhost"}, **SITES}, True),
        ("auto", [], {}, True),
        ("auto", [], None, True),
        (True, [], {"blog": {"domain": "localhost"}}, True),
        ("true", [], SITES, True),
        (True, ["none"], SITES, False),
        (False, [], SITES, False),
        ("no", [], SITES, False),
        ("perhaps", [], SITES, False),
        (None, [], SITES, False),
    ],
)
def test_decision(declared: Any, reasons: list[str], sites: Any, decided: bool) -> None:
    assert ipv6.dual_stack(declared, reasons, sites) is decided


@pytest.mark.parametrize("declared", ["", "maybe", None, 2, [], "automatic"])
def test_wishes_refused(declared: Any) -> None:
    with pytest.raises(AnsibleFilterError):
        ipv6.wanted(declared)
