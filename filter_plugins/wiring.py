# SPDX-License-Identifier: MIT
"""Filters of group_vars/all/wiring.yml: one role's data in the form that another role takes."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.preflight import ETHERNET_MTU, SITE_NAME
from module_utils.handover import overlap_address

# Seconds that PHP lets a request wait besides its computing time (roles/wordpress/vars/main.yml).
WAITING_TIME = 60


def nginx_sites(
    sites: Mapping[str, Mapping[str, Any]], upload_limit: str, content: str, max_execution_time: int, stack: str
) -> dict[str, dict[str, Any]]:
    """Say what the web server has to know of the WordPress sites.

    :param sites: ``wordpress_sites``.
    :param upload_limit: largest upload of a site that declares none (bytes with a unit).
    :param content: directory below which each site's wp-content lies.
    :param max_execution_time: seconds that a request of a site that declares none may compute.
    :param stack: the stack's name.
    :return: ``nginx_sites``, see roles/nginx/meta/argument_specs.yml.
    """
    return {
        name: {
            "domain": site["domain"],
            "aliases": list(site.get("aliases", [])),
            "upstream": f"{overlap_address(stack, f'wordpress-{name}', f'web-{name}')}:9000",
            "content": f"{content}/{name}/wp-content",
            "upload_limit": site.get("upload_limit", upload_limit),
            # PHP ends a request that waits a minute longer; the web server waits for it to say so.
            "upstream_timeout": int(site.get("max_execution_time", max_execution_time)) + WAITING_TIME,
            **({"multisite": site["multisite"]["type"]} if site.get("multisite") else {}),
            **({"tls": dict(site["tls"])} if site.get("tls") else {}),
            **{key: site[key] for key in ("security_headers", "extra_config") if site.get(key)},
        }
        for name, site in sites.items()
    }


LOCAL_NAME = re.compile(r"(?:.+\.)?localhost")


def own_names(
    sites: Mapping[str, Mapping[str, Any]], others: Iterable[str], relay: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Say by which names each site calls the web server on the network that it shares with it: its own.

    Its domain and aliases, and those of a network's declared sub-sites. Not: addresses, which nobody looks up;
    ``localhost``, which every program knows already; and what must go on to be another's: the names of the stack's
    own servers and the site's mail relay, which may be called as the site is.

    :param sites: ``wordpress_sites``.
    :param others: hosts that a site talks to, with or without a port.
    :param relay: ``wordpress_smtp``.
    :return: network to names, as a container declares its ``aliases``.
    """
    servers = {other.partition(":")[0] for other in others if other}
    names: dict[str, list[str]] = {}
    for name, site in sites.items():
        network = site.get("multisite") or {}
        domain = str(site["domain"]).lower()
        found = [domain, *(str(alias).lower() for alias in site.get("aliases") or [])]
        if network.get("type") == "subdomain":
            found += [f"{child}.{domain}" for child in network.get("sites") or {}]
        taken = servers | {str((site.get("smtp", relay) or {}).get("host", "")).lower(), f"wordpress-{name}"}
        names[f"web-{name}"] = [
            one
            for one in dict.fromkeys(found)
            if one not in taken and not LOCAL_NAME.fullmatch(one) and not is_address(one)
        ]
    return names


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def network_mtu(declared: Any, interface: Mapping[str, Any]) -> int:
    """Return the MTU of the stack's networks; 0 where the engine's own (1500) is right.

    A larger one of the machine's is not taken over: whoever is outside has 1500.

    :param declared: ``stack_network_mtu``; 0 for what the machine takes.
    :param interface: that of the default route (``ansible_facts.default_ipv4``); empty where nobody has asked.
    """
    if str(declared).isdigit() and int(declared):
        return int(declared)
    mtu = int(interface.get("mtu") or 0)
    return mtu if mtu < ETHERNET_MTU else 0


def ftp_sites(sites: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Choose the sites whose files are reached by FTP (all that do not say ``ftp: false``)."""
    return {name: site for name, site in sites.items() if site.get("ftp", True)}


def ftp_logins(sites: Mapping[str, Mapping[str, Any]], passwords: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Say who may log in to the FTP server, and on which volume: one login for each site, named after it.

    :param sites: ``wordpress_sites``.
    :param passwords: the derived password of each site; one that a site gives (``ftp_password``) goes before it.
    :return: ``ftp_logins``, see roles/ftp/meta/argument_specs.yml.
    """
    return {
        name: {
            "password": str(site.get("ftp_password") or passwords[name]),
            "volume": f"site-{name}",
            "location": f"sites/{name}/wp-content",
        }
        for name, site in ftp_sites(sites).items()
    }


def ftp_certificate(sites: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Say what the FTP server's certificate is for: it has one for all names, for few clients tell which they want.

    Where the first site has a certificate of the operator's, that one is shown, for its names; otherwise the stack's
    authority issues one for the names of all sites.

    :return: ``ftp_certificate``, see roles/ftp/meta/argument_specs.yml.
    """
    chosen = list((ftp_sites(sites) or sites).values())
    if chosen and chosen[0].get("tls"):
        return {"domains": [chosen[0]["domain"], *chosen[0].get("aliases", [])], **dict(chosen[0]["tls"])}
    return {
        "domains": [name for site in chosen for name in (site["domain"], *site.get("aliases", []))] or ["localhost"]
    }


def kept_volume_name(volume: str) -> str:
    """Name what a volume belonged to: a site by its plain name, everything else with its kind before a slash."""
    kind, _, name = volume.partition("-")
    if SITE_NAME.fullmatch(name) and kind in ("site", "static"):
        return name if kind == "site" else f"static/{name}"
    return f"volume/{volume}"


def kept_database_name(database: str, prefix: str) -> str:
    """Name what a database belonged to: a site by its plain name, everything else as a database.

    :param prefix: ``wordpress_database_prefix``.
    """
    site = database.removeprefix(prefix)
    return site if database.startswith(prefix) and SITE_NAME.fullmatch(site) else f"database/{database}"


def kept_data(volumes: Mapping[str, str], databases: Iterable[str], database_prefix: str) -> dict[str, dict[str, Any]]:
    """Group the data that nothing declares any more by what it belonged to.

    :param volumes: short name of a volume to its directory.
    :param databases: names of databases.
    :param database_prefix: ``wordpress_database_prefix``.
    :return: name to ``{volumes, databases}``. Only a site's volume and database share a name, the site's, which has no
        slash; what is not a site's is ``static/licence``, ``volume/redis``, ``database/theirs``: whoever deletes a
        name deletes nothing that was another's.
    """
    named: list[tuple[str, dict[str, str], list[str]]] = [
        (kept_volume_name(volume), {volume: directory}, []) for volume, directory in volumes.items()
    ]
    named += [(kept_database_name(database, database_prefix), {}, [database]) for database in databases]
    kept: dict[str, dict[str, Any]] = {}
    for name, of_volumes, of_databases in named:
        entry = kept.setdefault(name, {"volumes": {}, "databases": []})
        entry["volumes"].update(of_volumes)
        entry["databases"] += of_databases
    return kept


def object_cache(site: Mapping[str, Any], default: str, host: str) -> str:
    """Say what a site's object cache is: ``builtin``, ``plugin``, or ``none``, which it is where no server is."""
    return str(site.get("object_cache", default)) if host else "none"


def database_logins(
    passwords: Mapping[str, str],
    prefix: str,
    others: Mapping[str, str] | None = None,
    sites: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Say which databases there are, and who may connect.

    :param passwords: each site's password.
    :param prefix: ``wordpress_database_prefix``.
    :param others: a site's other password, while it is being rotated.
    :param sites: ``wordpress_sites``, of which some need further privileges.
    :return: ``mariadb_databases``, see roles/mariadb/meta/argument_specs.yml.
    """
    logins: dict[str, dict[str, Any]] = {}
    for name, password in passwords.items():
        further = list((sites or {}).get(name, {}).get("database_privileges") or ())
        logins[prefix + name] = {
            **_passwords(password, (others or {}).get(name)),
            **({"privileges": further} if further else {}),
        }
    return logins


def _passwords(password: str, other: str | None) -> dict[str, str]:
    return {"password": password, **({"other_password": other} if other else {})}


def cache_users(
    sites: Mapping[str, Mapping[str, Any]],
    passwords: Mapping[str, str],
    default: str,
    host: str,
    others: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Say who may use the cache: one user for each site that does, named after it.

    :param sites: ``wordpress_sites``.
    :param passwords: each site's password.
    :param default: what sites use that do not say it.
    :param host: the cache server, empty where there is none.
    :param others: a site's other password, while it is being rotated.
    :return: ``redis_users``, see roles/redis/meta/argument_specs.yml. A plugin of the operator's choice needs more
        commands than what comes with this project.
    """
    kinds = {name: object_cache(site, default, host) for name, site in sites.items()}
    return {
        name: {**_passwords(passwords[name], (others or {}).get(name)), "extended": kind == "plugin"}
        for name, kind in kinds.items()
        if kind != "none"
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "cache_users": cache_users,
            "database_logins": database_logins,
            "ftp_certificate": ftp_certificate,
            "ftp_logins": ftp_logins,
            "kept_data": kept_data,
            "network_mtu": network_mtu,
            "nginx_sites": nginx_sites,
            "object_cache": object_cache,
            "own_names": own_names,
        }
