# SPDX-License-Identifier: MIT
"""Networks of sites (WordPress's multisite): their declared form, their names, and what is wrong with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.formats import bytes_from_size

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# First parts of a path that WordPress, or a site's own addresses, need.
RESERVED = ("page", "comments", "blog", "files", "feed", "embed", "index", "robots", "favicon")


def network_of(site: Mapping[str, Any], upload_limit: str) -> dict[str, Any] | None:
    """Return a site's network as the reconciler takes it, or nothing for a single site.

    :param upload_limit: largest upload of the site (bytes with a unit).
    """
    declared = site.get("multisite")
    if not declared:
        return None
    return {
        "type": declared["type"],
        "upload_limit": bytes_from_size(upload_limit),
        "sites": {name: fields["title"] for name, fields in (declared.get("sites") or {}).items()},
    }


def wildcard(site: Mapping[str, Any]) -> list[str]:
    """Return the name that stands for all sub-domains of a network of that type; an empty list for another site."""
    declared = site.get("multisite")
    subdomain = isinstance(declared, Mapping) and declared.get("type") == "subdomain"
    return [f"*.{site['domain']}"] if subdomain and isinstance(site.get("domain"), str) else []


def multisite_problems(place: str, site: Mapping[str, Any]) -> list[str]:
    """Say what is wrong with one site's network, a line each. Types are checked against the argument specification."""
    declared = site.get("multisite")
    if not isinstance(declared, Mapping) or not declared:
        return []
    problems = []
    kind, domain, sites = declared.get("type"), site.get("domain"), declared.get("sites") or {}
    if wildcard(site) and "." not in str(domain):
        problems.append(
            f"{place}.multisite.type: subdomain: needs a domain with a dot, not {domain}: browsers take no certificate "
            f"for *.{domain}"
        )
    if wildcard(site) and str(domain).startswith("www."):
        problems.append(
            f"{place}.multisite.type: subdomain: sub-domains of {domain} would be meant: declare the domain without www"
        )
    for name, fields in sites.items() if isinstance(sites, Mapping) else ():
        where = f"{place}.multisite.sites.{name}"
        if not isinstance(name, str) or not LABEL.fullmatch(name):
            problems.append(f"{where}: a sub-site's name is 1 to 63 lower-case letters, digits and hyphens inside")
        elif kind == "subdirectory" and (name in RESERVED or name.startswith("wp-")):
            problems.append(f"{where}: WordPress needs this path itself")
        if not isinstance(fields, Mapping) or set(fields) != {"title"}:
            problems.append(f"{where}: must be a dict with a title, and nothing else")
        elif not isinstance(fields["title"], str) or not fields["title"].strip():
            problems.append(f"{where}.title: must be text that is not empty")
        elif re.search(r"[\x00-\x1f\x7f]", fields["title"]):
            problems.append(f"{where}.title: must not contain line breaks or other control characters")
    return problems


def between_problems(sites: Mapping[str, Any]) -> list[str]:
    """Say where a network of sub-domains and other names meet.

    A network's login cookies go to every host below its domain, so no other site may have one there: it is run by
    other people, in a container of its own.
    """
    problems = []
    declared = {name: site for name, site in sites.items() if isinstance(site, Mapping)}
    for name, network in declared.items():
        if not wildcard(network):
            continue
        end = f".{network['domain']}"
        subsites = (network["multisite"].get("sites") or {}) if isinstance(network["multisite"], Mapping) else {}
        for other, site in declared.items():
            aliases = site.get("aliases")
            names = [site.get("domain"), *(aliases if isinstance(aliases, list | tuple) else [])]
            for host in names:
                if not isinstance(host, str) or not host.endswith(end):
                    continue
                if other != name:
                    problems.append(
                        f"wordpress_sites.{other}: {host}: lies below {network['domain']}, the network {name} of the "
                        "type subdomain, whose login cookies it would get"
                    )
                elif isinstance(subsites, Mapping) and host.removesuffix(end) in subsites:
                    problems.append(f"wordpress_sites.{name}.aliases: {host}: is the address of a sub-site")
    return problems


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"network_of": network_of, "wildcard": wildcard}
