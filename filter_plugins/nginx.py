# SPDX-License-Identifier: MIT
"""Filters of the web server: which host serves what, and the rules for services behind a login and for static sites."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins import packages
from filter_plugins.contents import shortened

NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
PATH = re.compile(r"/([A-Za-z0-9][A-Za-z0-9._~-]*/)*")
# Of static sites, which may also be about the host: /.well-known/ (RFC 8615). There a file needs no ending.
DIRECTORY = re.compile(r"/(\.well-known/)?([A-Za-z0-9][A-Za-z0-9._~-]*/)*")
FILE = re.compile(
    rf"(?:{DIRECTORY.pattern})[A-Za-z0-9][A-Za-z0-9_~-]*\.[A-Za-z0-9._~-]+|/\.well-known/[A-Za-z0-9._~/-]*[A-Za-z0-9]"
)
PROGRAM = re.compile(r"\.(?:ph(?:p[0-9]?|ps|tml?|ar)|cgi|p[ly]|aspx?|jsp)$", re.IGNORECASE)
UPSTREAM = re.compile(r"[a-z0-9][a-z0-9.-]*:[0-9]{1,5}")
SCRIPT = re.compile(r"/[A-Za-z0-9._/-]+\.php")
LOGIN = re.compile(r"[A-Za-z0-9_.@-]{1,60}")
# Parts of paths that mean something to the server itself or to WordPress: `/wp-admin/`, `/wp-content/`, ...
RESERVED = re.compile(r"/wp-", re.IGNORECASE)
SERVICE_FIELDS = ("protocol", "upstream", "script", "domain", "path", "login", "password", "upload_limit", "tls")
SERVICE_REQUIRED = ("protocol", "upstream", "path", "login", "password")
STATIC_FIELDS = ("domain", "aliases", "path", "source", "index", "not_found", "max_age", "tls")
POLICY, FRAMES = "content-security-policy", "x-frame-options"
# What begins a line in a map of nginx's and means something else; a name that is one of them has a backslash before it.
MAP_WORDS = ("default", "hostnames", "include", "volatile")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
# Headers that the server makes itself, and the variable that decides where there is one.
OWN_HEADERS = {
    "strict-transport-security": "nginx_hsts", "cache-control": "nginx_static_max_age", "allow": "", "connection": "",
    "content-encoding": "", "content-length": "", "content-type": "", "date": "", "etag": "", "last-modified": "",
    "location": "", "retry-after": "", "server": "", "set-cookie": "", "transfer-encoding": "", "vary": "",
    "x-robots-tag": "",
}  # fmt: skip
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~/-]*")
BLOCK = 1 << 20


# --- Who serves what ------------------------------------------------------------------------------------------------


def routes(
    sites: Mapping[str, Mapping[str, Any]],
    services: Mapping[str, Mapping[str, Any]],
    static_sites: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Place services and static sites: below paths of WordPress sites, and on hosts of their own.

    One without a domain is placed on the first site; several may share a host.

    :param sites: ``nginx_sites``.
    :return: ``sites``, a dict of site name to ``{services: [...], static: [...]}``, and ``hosts``, a list of
        ``{name, domain, aliases, tls, services, static}``; each service and static site has its ``name`` and ``path``.
    """
    owners = {str(site["domain"]).lower(): name for name, site in sites.items()}
    placed: dict[str, Any] = {"sites": {name: {"services": [], "static": []} for name in sites}, "hosts": []}
    hosts: dict[str, dict[str, Any]] = {}
    for kind, prefix, entries in (("services", "tool", services), ("static", "static", static_sites)):
        for name, entry in sorted(entries.items()):
            place, domain = _place(name, entry, owners, placed["sites"])
            if place is None:
                place = hosts.setdefault(
                    domain,
                    {
                        "name": f"{prefix}-{name}", "domain": domain, "aliases": [], "tls": {}, "services": [],
                        "static": [],
                    },
                )  # fmt: skip
                place["aliases"] += [alias.lower() for alias in entry.get("aliases") or []]
                place["tls"] = place["tls"] or dict(entry.get("tls") or {})
            place[kind].append({**entry, "name": name, "path": entry.get("path") or "/"})
    placed["hosts"] = [hosts[domain] for domain in sorted(hosts)]
    return placed


def _place(
    name: str, entry: Mapping[str, Any], owners: Mapping[str, str], sites: dict[str, dict[str, Any]]
) -> tuple[dict[str, Any] | None, str]:
    """Find the site that serves an entry; nothing, and its domain, for one with a host of its own."""
    domain = str(entry.get("domain") or "").lower()
    if not domain:
        if not sites:
            raise AnsibleFilterError(f"{name}: needs a domain, for there is no site")
        return next(iter(sites.values())), ""
    return (sites[owners[domain]], "") if domain in owners else (None, domain)


def service_url(service: Mapping[str, Any], sites: Mapping[str, Mapping[str, Any]], https_port: int) -> str:
    """Return the address of a service.

    :param service: an entry of ``nginx_services``, of which ``domain`` and ``path`` count.
    :param sites: the sites, whose first one serves it where it has no domain.
    """
    first = next(iter(sites.values()), {})
    domain = str(service.get("domain") or first.get("domain") or "localhost").lower()
    return f"https://{domain}{'' if int(https_port) == 443 else f':{https_port}'}{service['path']}"


# --- Headers of every answer -----------------------------------------------------------------------------------------


def answer_headers(common: Mapping[str, Any], sites: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Say which headers every answer carries: those of all sites, and of each site its own instead.

    A header with an empty value is left to the server behind. `Content-Security-Policy` is left to it in any case, for
    there both apply. What WordPress shows for others to embed may be framed by anybody.

    :param common: ``nginx_security_headers``.
    :param sites: ``nginx_sites``, of which ``security_headers`` counts.
    :return: one dict for each header, sorted by name: ``name``; ``key``, a part of names of nginx's variables;
        ``values``, as nginx writes them, by site, ``default`` for all others; ``embedded``, the same for pages that
        others embed; ``replaces``, whether it stands for what the server behind says.
    """
    declared = {"default": common}
    for site, entry in sites.items():
        declared[f"\\{site}" if site in MAP_WORDS else site] = entry.get("security_headers") or {}
    found: dict[str, dict[str, Any]] = {}
    for site, headers in declared.items():
        for name, value in headers.items():
            header = found.setdefault(name.lower(), {"name": name, "declared": {"default": ""}})
            header["declared"][site] = str(value or "")
    return [
        {
            "name": header["name"],
            "key": re.sub("[^a-z0-9]", "_", low),
            "values": {site: _header_value(low, value) for site, value in header["declared"].items()},
            "embedded": {site: _embedded_value(low, value) for site, value in header["declared"].items()},
            "replaces": low != POLICY,
        }
        for low, header in sorted(found.items())
        if any(header["declared"].values())
    ]


def _header_value(low: str, value: str) -> str:
    """Write a header's value as nginx does; an empty one is that of the server behind."""
    if not value and low != POLICY:
        return f"$upstream_http_{low.replace('-', '_')}"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _embedded_value(low: str, value: str) -> str:
    """Write a header's value without what forbids others to embed a page."""
    if low == FRAMES:
        return '""'
    if low == POLICY:
        directives = [directive.strip() for directive in value.split(";")]
        value = "; ".join(one for one in directives if one and not one.lower().startswith("frame-ancestors"))
    return _header_value(low, value)


# --- Files of static sites ------------------------------------------------------------------------------------------


def file_digests(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its relative name."""
    digests = {}
    for name, path in files.items():
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
        digests[name] = digest.hexdigest()
    return digests


def static_files(source: str) -> dict[str, Path]:
    """Find the files of a static site's source.

    :raises AnsibleFilterError: with what cannot be copied exactly.
    """
    try:
        files: dict[str, Path] = packages.directory_entries(packages.controller_path(source))
        for name in files:
            name.encode()
    except packages.PackageError as error:
        raise AnsibleFilterError(f"{source}: {error}") from error
    except UnicodeEncodeError as error:
        raise AnsibleFilterError(f"{source}: holds a name that is not UTF-8: {error.object!a}") from error
    return files


def static_differences(changes: Iterable[str], directory: str) -> dict[str, list[str]]:
    """Group what `host_files` says of the static sites' files by site.

    :param changes: one line for each file, which begins with its path.
    :param directory: of the target, parent of the sites' own.
    """
    found: dict[str, list[str]] = {}
    for change in changes:
        site = re.split("[/:]", change.removeprefix(f"{directory}/"), maxsplit=1)[0]
        found.setdefault(site, []).append(change)
    return {site: shortened(lines) for site, lines in found.items()}


# --- Rules ----------------------------------------------------------------------------------------------------------


def route_problems(values: Mapping[str, Any], domain_problem: Any, wired: bool = True) -> list[str]:
    """Check `nginx_services` and `nginx_static_sites`, each entry and what must differ between them and the sites.

    :param values: all variables.
    :param domain_problem: the rule for host names.
    :param wired: whether the services were made by wiring.yml: then the variables are the roles' own.
    """
    problems: list[str] = []
    services, static_sites = values.get("nginx_services"), values.get("nginx_static_sites")
    taken = _site_names(values)
    firsts = [name for name, (_, kind) in taken.items() if kind == "domain"]
    hosts: dict[str, list[tuple[str, str]]] = {}
    entries = [
        (kind, name, entry)
        for kind, declared in (("service", services), ("static", static_sites))
        for name, entry in (declared.items() if isinstance(declared, Mapping) else ())
    ]
    for kind, name, entry in entries:
        own = kind == "service" and wired
        place = f"{name}_" if own else f"nginx_{'services' if kind == 'service' else 'static_sites'}.{name}."
        if not isinstance(name, str) or not NAME.fullmatch(name):
            problems.append(f"{place[:-1]}: a name is 1 to 16 of a-z and 0-9, a letter first")
            continue
        if not isinstance(entry, Mapping):
            problems.append(f"{place[:-1]}: must be a dict")
            continue
        found = service_problems(place, entry) if kind == "service" else static_problems(place, entry)
        domain = entry.get("domain") or ""
        wrong = domain_problem(domain) if domain else None
        if wrong:
            found.append(f"{place}domain: {domain!r}: {wrong}")
        problems += found
        if found:
            continue
        problems += _placement_problems(place, entry, str(domain), taken, firsts, hosts, domain_problem)
    return problems


def header_problems(variable: str, headers: Any) -> list[str]:
    """Check a dict of security headers: names and values become lines of the server's configuration.

    :param variable: what the operator wrote it as.
    """
    if not isinstance(headers, Mapping):
        return [f"{variable}: must be a dict of headers and their values"]
    problems = []
    seen: set[str] = set()
    for name, value in headers.items():
        place = f"{variable}.{name!a}"
        if not _matches(HEADER, name):
            problems.append(f"{place}: a header's name is letters, digits and -")
            continue
        if name.lower() in OWN_HEADERS:
            instead = OWN_HEADERS[name.lower()]
            problems.append(f"{place}: the web server makes it{f': see {instead}' if instead else ''}")
        if name.lower() in seen:
            problems.append(f"{place}: declared twice, in capital and small letters")
        seen.add(name.lower())
        if value is not None and (not isinstance(value, str) or re.search(r"[^\x20-\x7e]", value)):
            problems.append(
                f"{place}: {value!a}: must be text on one line, in ASCII; empty leaves the header to the server behind"
            )
    return problems


def site_header_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the security headers of all sites, and those of each."""
    problems = header_problems("nginx_security_headers", values.get("nginx_security_headers") or {})
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if isinstance(site, Mapping) and site.get("security_headers"):
            problems += header_problems(f"wordpress_sites.{name}.security_headers", site["security_headers"])
    return problems


def _site_names(values: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the host names of the sites: where each is declared, and whether as domain or alias."""
    found: dict[str, tuple[str, str]] = {}
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if isinstance(site, Mapping):
            found[str(site.get("domain", "")).lower()] = (f"wordpress_sites.{name}.domain", "domain")
            aliases = site.get("aliases")
            for alias in aliases if isinstance(aliases, list | tuple) else ():
                found.setdefault(str(alias).lower(), (f"wordpress_sites.{name}.aliases", "alias"))
    return found


def _placement_problems(
    place: str,
    entry: Mapping[str, Any],
    domain: str,
    taken: dict[str, tuple[str, str]],
    firsts: list[str],
    hosts: dict[str, list[tuple[str, str]]],
    domain_problem: Any,
) -> list[str]:
    """Check where one entry is served; remembers its path in `hosts` and its names in `taken`."""
    host = domain.lower() or (firsts[0] if firsts else "")
    path = entry.get("path") or "/"
    aliases = list(entry.get("aliases") or [])
    holder, kind = taken.get(host, ("", "own"))
    problems: list[str] = []
    if not host:
        return [f"{place}domain: '': must be set where there is no site"]
    if kind == "alias":
        return [f"{place}domain: {domain!r}: already used by {holder}"]
    if kind == "domain":
        if path == "/":
            problems.append(f"{place}path: '/': {host} belongs to {holder}: needs a path below it, such as /docs/")
        if RESERVED.match(path):
            problems.append(f"{place}path: {path!r}: addresses that begin with /wp- are WordPress's own")
        problems += [
            f"{place}{key}: belongs to a host name of its own, not to one of a site"
            for key in ("aliases", "tls")
            if entry.get(key)
        ]
    else:
        taken.setdefault(host, (f"{place}domain", "own"))
        for index, alias in enumerate(aliases):
            wrong = domain_problem(alias)
            if wrong:
                problems.append(f"{place}aliases[{index}]: {alias!r}: {wrong}")
            elif alias.lower() in taken:
                problems.append(f"{place}aliases[{index}]: {alias!r}: already used by {taken[alias.lower()][0]}")
            else:
                taken[alias.lower()] = (f"{place}aliases[{index}]", "alias")
    for other, other_place in hosts.setdefault(host, []):
        inside = "/" not in (path, other) and (_holds(path, other) or _holds(other, path))
        if path == other or inside:
            problems.append(f"{place}path: {path!r}: collides with {other_place}path ({other!r}) on {host}")
    hosts[host].append((path, place))
    return problems


def _holds(directory: str, path: str) -> bool:
    return directory.endswith("/") and path.startswith(directory)


def service_problems(place: str, entry: Mapping[str, Any]) -> list[str]:
    """Check one service by itself; passwords have rules of their own."""
    problems = _unknown(place, entry, SERVICE_FIELDS)
    problems += [f"{place}{key}: missing" for key in SERVICE_REQUIRED if key not in entry]
    if entry.get("protocol", "http") not in {"http", "fastcgi"}:
        problems.append(f"{place}protocol: {entry['protocol']!r}: must be http or fastcgi")
    if "upstream" in entry and not _matches(UPSTREAM, entry["upstream"]):
        problems.append(f"{place}upstream: {entry['upstream']!r}: must be a name and a port, such as adminer:9000")
    if entry.get("protocol") == "fastcgi" and not _matches(SCRIPT, entry.get("script")):
        problems.append(f"{place}script: {entry.get('script')!r}: must be the absolute path of a PHP file")
    if "login" in entry and not _matches(LOGIN, entry["login"]):
        problems.append(f"{place}login: {entry['login']!r}: must be 1 to 60 letters, digits and . _ - @")
    if not _matches(PATH, entry.get("path") or "/"):
        problems.append(f"{place}path: {entry['path']!r}: must be a path with a slash at both ends, such as /docs/")
    return problems + _tls_problems(place, entry)


def static_problems(place: str, entry: Mapping[str, Any]) -> list[str]:
    """Check one static site by itself, without looking at its files."""
    problems = _unknown(place, entry, STATIC_FIELDS)
    for key in ("index", "not_found"):
        value = entry.get(key)
        if value and (not _matches(FILE_NAME, value) or ".." in str(value).split("/")):
            problems.append(f"{place}{key}: {value!r}: must be the name of a file below the source, such as index.html")
    age = entry.get("max_age")
    if age is not None and (isinstance(age, bool) or not isinstance(age, int) or age < 0):
        problems.append(f"{place}max_age: {age!r}: must be a number of seconds")
    if entry.get("aliases") and not isinstance(entry["aliases"], list | tuple):
        problems.append(f"{place}aliases: must be a list of host names")
    if entry.get("source") and not isinstance(entry["source"], str):
        problems.append(f"{place}source: {entry['source']!r}: must be a directory of the machine that runs Ansible")
    return problems + _static_path_problems(place, entry) + _tls_problems(place, entry)


def static_file_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the sources of the static sites, by looking at their files' names."""
    problems = []
    static_sites = values.get("nginx_static_sites")
    for name, entry in static_sites.items() if isinstance(static_sites, Mapping) else ():
        source = entry.get("source") if isinstance(entry, Mapping) else None
        if isinstance(source, str) and source:
            try:
                files = static_files(source)
                path = str(entry.get("path") or "/")
                wanted = path.rpartition("/")[2]
                if wanted and wanted not in files:
                    problems.append(
                        f"nginx_static_sites.{name}.source: {source!r}: has no file {wanted}, which {path} (path) names"
                    )
            except (AnsibleFilterError, OSError) as error:
                problems.append(f"nginx_static_sites.{name}.source: {getattr(error, 'message', error)}")
    return problems


def _unknown(place: str, entry: Mapping[str, Any], fields: tuple[str, ...]) -> list[str]:
    return [f"{place}{key}: unknown; there are {', '.join(fields)}" for key in entry if key not in fields]


def _static_path_problems(place: str, entry: Mapping[str, Any]) -> list[str]:
    """Check the path of a static site: that of a directory, or of one file."""
    path = entry.get("path") or "/"
    if isinstance(path, str) and ".." in path.split("/"):
        return [f"{place}path: {path!r}: must not lead upwards"]
    if _matches(DIRECTORY, path):
        return []
    if not _matches(FILE, path) or "//" in path or "/." in path.removeprefix("/."):
        rule = (
            "must be a directory's path, with a slash at both ends, such as /docs/, or a file's, such as /ads.txt or "
            "/.well-known/security.txt; no other part may begin with a dot"
        )
        return [f"{place}path: {path!r}: {rule}"]
    if PROGRAM.search(path):
        return [f"{place}path: {path!r}: no program is served as a file"]
    return [
        f"{place}{key}: belongs to a path that is a directory's; {path} is a file's"
        for key in ("index", "not_found")
        if entry.get(key)
    ]


def _tls_problems(place: str, entry: Mapping[str, Any]) -> list[str]:
    tls = entry.get("tls")
    if tls and (not isinstance(tls, Mapping) or set(tls) != {"certificate", "key"}):
        return [f"{place}tls: needs certificate and key, the paths of two files, and nothing else"]
    return []


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))


def own_certificates(values: Mapping[str, Any]) -> list[tuple[str, Mapping[str, str], list[str]]]:
    """List the operator's certificates for services and static sites: the variable, the two paths, the host names."""
    found = []
    for variable in ("nginx_services", "nginx_static_sites"):
        entries = values.get(variable)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            # What is of another form has a line of its own.
            tls = entry.get("tls") if isinstance(entry, Mapping) else None
            if isinstance(tls, Mapping) and set(tls) == {"certificate", "key"} and entry.get("domain"):
                place = f"{name}_tls" if variable == "nginx_services" else f"{variable}.{name}.tls"
                found.append((place, entry["tls"], [entry["domain"], *(entry.get("aliases") or [])]))
    return found


def unread_static_sites(unreadable: Mapping[str, str]) -> list[dict[str, str]]:
    """Write whose files could not be read on the controller, in the form that the problems role takes.

    :param unreadable: names of static sites, each with the reason.
    """
    return [
        {
            "part": f"static site {name}",
            "what": reason,
            "serves": "the files that were brought before, as they are.",
            "advice": f"put right nginx_static_sites.{name}.source, and run again.",
        }
        for name, reason in sorted(unreadable.items())
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "nginx_headers": answer_headers,
            "nginx_routes": routes,
            "service_url": service_url,
            "static_differences": static_differences,
            "unread_static_sites": unread_static_sites,
        }
