# SPDX-License-Identifier: MIT
"""IPv6: whether a stack has it, the ranges of its networks, and where its ports are published.

All are pure. The engine has to translate IPv6 as it translates IPv4: its proxy would take the connections as well, but
then every client would have the address of the network's gateway, in logs and in limits.
"""

from __future__ import annotations

import hashlib
import ipaddress
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

AUTO = "auto"
# From here on an engine translates IPv6 unless it is told not to; before, that counts as an experiment.
TRANSLATES_SINCE = 27
# A site (RFC 4193) and each of its networks.
SITE_BITS, NETWORK_BITS = 48, 64
# What machines can have for an address that leads beyond their link: private (unique local) and global ones.
UNICAST = (ipaddress.IPv6Network("fc00::/7"), ipaddress.IPv6Network("2000::/3"))
EVERYWHERE = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - compared with, not bound
LOOPBACK = "127.0.0.1"
# The engine cannot forward what is sent to ::1, and programs try that address of this name first.
LOCAL_NAME = "localhost"


def bind_addresses(declared: Any) -> list[str]:
    """Return the addresses on which ports are published: one, or a list of them."""
    return [str(address) for address in ([declared] if isinstance(declared, str) else declared)]


def published(declared: Any, ports: str) -> list[str]:
    """Write ports with each address that they are published on, in the engine's notation.

    :param declared: what `bind_addresses` takes.
    :param ports: such as ``443:8443/tcp``.
    """
    addresses = bind_addresses(declared)
    return [f"[{address}]:{ports}" if ":" in address else f"{address}:{ports}" for address in addresses]


def bind_address_problem(declared: Any) -> str | None:
    """Return the rule that an address to publish ports on breaks, or a list of such addresses."""
    addresses = declared if isinstance(declared, list | tuple) else [declared]
    if not addresses:
        return "must be at least one IP address"
    if len(set(map(str, addresses))) < len(addresses):
        return "must not have an address twice"
    for address in addresses:
        try:
            # A zone belongs to an address of one link only, which the engine publishes nothing on.
            valid = isinstance(address, str) and "%" not in address and bool(ipaddress.ip_address(address))
        except ValueError:
            valid = False
        if not valid:
            return "must be an IP address, 0.0.0.0 for all of IPv4, :: for all of IPv6, or a list of such addresses"
    return None


def local_address(declared: Any, networks: Mapping[str, str]) -> str:
    """Return an address under which the machine itself reaches what is published.

    :param declared: what `bind_addresses` takes.
    :param networks: `ipv6_networks`. Where only IPv6 is published the machine has an address on each of them, its
        first; the loopback address of IPv6 leads nowhere.
    """
    addresses = bind_addresses(declared)
    if EVERYWHERE[4] in addresses:
        return LOOPBACK
    for address in sorted(addresses, key=lambda text: ":" in text):
        if address != EVERYWHERE[6]:
            return address
    return next((str(ipaddress.IPv6Network(network)[1]) for network in networks.values()), "::1")


def ipv6_networks(names: Iterable[str], stack: str, prefix: str = "") -> dict[str, str]:
    """Give each network a range of its own, always the same one: short name to a /64.

    :param names: short names of the networks.
    :param stack: the stack's name, from which the range follows (RFC 4193), so that two stacks have different ones.
    :param prefix: ``stack_ipv6_prefix``, a /48 in place of that.
    """
    if prefix:
        base = int(ipaddress.IPv6Network(prefix).network_address)
    else:
        digest = hashlib.sha256(f"pressdock/{stack}".encode()).digest()
        base = int.from_bytes(b"\xfd" + digest[:5] + bytes(10), "big")
    found: dict[str, str] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big")
        while number in taken:
            number = (number + 1) % (1 << (NETWORK_BITS - SITE_BITS))
        taken.add(number)
        found[name] = str(ipaddress.IPv6Network((base | number << (128 - NETWORK_BITS), NETWORK_BITS)))
    return found


def wanted(declared: Any) -> bool | None:
    """Return what ``stack_ipv6`` says: yes, no, or nothing (what the machine has decides).

    :raises AnsibleFilterError: when it says something else.
    """
    word = str(declared).strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    if word == AUTO:
        return None
    raise AnsibleFilterError("must be auto, true or false")


def engine_translates(version: str, options: Mapping[str, Any]) -> bool:
    """Tell whether an engine translates IPv6.

    :param version: its version; empty where nobody knows it.
    :param options: those of its options that say so (``iptables``, ``ip6tables``, ``experimental``).
    """
    major = version.partition(".")[0]
    modern = major.isdigit() and int(major) >= TRANSLATES_SINCE
    translates = options.get("ip6tables", modern) and options.get("iptables", True)
    return bool(translates and (modern or options.get("experimental", False)))


def lacking(host: Mapping[str, Any], managed: bool, options: Mapping[str, Any]) -> list[str]:
    """Say what a target lacks for its stack to have IPv6.

    :param host: what the preflight's module has found.
    :param managed: whether the docker role configures the engine, and thus has it translate.
    :param options: ``docker_daemon_options``, which have the last word there.
    """
    found = host.get("ipv6") or {}
    if not found.get("addresses"):
        return ["the machine has no IPv6 address beyond its own link"]
    reasons = []
    if found.get("translation") is False:
        reasons.append("its kernel has no table for the translation of IPv6 (ip6tables --table nat)")
    reasons += [
        f"{interface} follows the announcements of a router, which Linux no longer does on a machine that forwards"
        f" IPv6, as the engine has it do: set net.ipv6.conf.{interface}.accept_ra to 2 (sysctl), for good"
        for interface in found.get("announced") or []
    ]
    off = [name for name in ("iptables", "ip6tables", "experimental") if options.get(name) is False]
    if managed and off:
        reasons.append(f"docker_daemon_options.{off[0]} is false")
    if not managed and not engine_translates(str(host.get("engine_version") or ""), found.get("engine") or {}):
        reasons.append(
            "the engine, which somebody else has set up, does not translate IPv6: set ip6tables to true, and before"
            f" version {TRANSLATES_SINCE} experimental as well, in its /etc/docker/daemon.json, and restart it"
        )
    return reasons


def local_alone(sites: Any) -> bool:
    """Tell whether all sites are for the machine itself, where IPv6 brings nothing but an address that hangs."""
    domains = [site.get("domain") for site in sites.values()] if isinstance(sites, Mapping) else []
    return bool(domains) and all(str(domain).split(".")[-1] == LOCAL_NAME for domain in domains)


def dual_stack(declared: Any, reasons: Sequence[str], sites: Any) -> bool:
    """Decide whether a stack has IPv6.

    :param declared: ``stack_ipv6``.
    :param reasons: `lacking`.
    :param sites: ``wordpress_sites``.
    """
    try:
        wish = wanted(declared)
    except AnsibleFilterError:
        # It has a line of its own in the preflight.
        return False
    return not reasons and (not local_alone(sites) if wish is None else wish)


def prefix_problem(declared: Any) -> str | None:
    """Return the rule that a range for the stack's networks breaks."""
    rule = f"must be a /{SITE_BITS}, such as fd12:3456:789a::/{SITE_BITS}"
    try:
        network = ipaddress.IPv6Network(declared) if isinstance(declared, str) else None
    except ValueError:
        return rule
    if network is None or network.prefixlen != SITE_BITS:
        return rule
    return None if any(network.subnet_of(range_) for range_ in UNICAST) else "must be of private or global addresses"


def range_problems(networks: Mapping[str, str], host: Mapping[str, Any], stack: str) -> list[str]:
    """Check that nobody else has the ranges of the stack's networks: no other network, and no link of the machine.

    :param networks: `ipv6_networks`.
    :param host: ``networks`` (the engine's: name to ranges) and ``ipv6``.
    """
    own = {f"{stack}-{name}": ipaddress.IPv6Network(text) for name, text in networks.items()}
    others = [
        (f"the network {name}", ipaddress.IPv6Network(text, strict=False))
        for name, texts in (host.get("networks") or {}).items()
        if name not in own
        for text in texts
        if ":" in text
    ]
    addresses = (host.get("ipv6") or {}).get("addresses") or []
    others += [(f"the machine's address {text}", ipaddress.IPv6Interface(text).network) for text in addresses]
    return [
        f"networks: {mine}, of {name}, overlaps with {what}: set another stack_ipv6_prefix"
        for name, mine in own.items()
        for what, theirs in others
        if mine.overlaps(theirs)
    ]


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "bind_addresses": bind_addresses,
            "ipv6_networks": ipv6_networks,
            "local_address": local_address,
            "published": published,
        }
