# SPDX-License-Identifier: MIT
"""The rule of each public variable: what text, number or dict of names it may hold, in one place.

A variable's type, a list of choices, and what its name says (a port, a size, an address to bind) are rules already. All
others stand in one of three tables: `RULES` has the rule itself, `ELSEWHERE` the function that checks what one rule
cannot say, `ANYTHING` the reason why every value is right. A test finds a variable that stands in none.

A value goes into configuration files, SQL, command lines and Dockerfiles, so no text has a line break or another
control character, unless `LINES` names its variable; and no number is infinite or none.
"""

from __future__ import annotations

import functools
import html
import ipaddress
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import TZPATH

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What a text of several lines may not hold either.
NOT_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
LARGEST = 2**53
"""A whole number beyond is not the same for every program that reads it."""


def shown(value: Any) -> str:
    """Write a value for a message, on one line and not longer than half of it; what is nested may hold a secret."""
    items = value if isinstance(value, list | tuple) else ()
    if (isinstance(value, Mapping) and value) or any(isinstance(item, Mapping | list | tuple) for item in items):
        return "{...}" if isinstance(value, Mapping) else "[...]"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


# --- What a rule is -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """What a value must be, in words, and whether one is.

    `whole` says that a list is judged as one, not each of its elements.
    """

    words: str
    fits: Callable[[Any], bool]
    whole: bool = False


def text(pattern: str, words: str) -> Rule:
    """Make the rule of a text, or of each text of a list."""
    compiled = re.compile(pattern)
    return Rule(f"must be {words}", lambda value: isinstance(value, str) and bool(compiled.fullmatch(value)))


def number(least: float, most: float) -> Rule:
    """Make the rule of a number. Its type is checked apart."""
    return Rule(f"must be from {least} to {most}", lambda value: least <= value <= most)


def usable_network(value: Any) -> bool:
    """Tell whether a text is an address, or a network in CIDR notation."""
    try:
        ipaddress.ip_network(value, strict=False)
    except (TypeError, ValueError):
        return False
    return isinstance(value, str)


HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
NETWORK = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
WEB_ADDRESS = r"https?://[A-Za-z0-9.\[\]:-]+(/[^\s'\"\\]*)?"
APT_SOURCE = r"deb (\[[^\]\n]*\] )?[a-z+]+://?[^\s'\"]+ [^\s'\"]+( [a-z-]+)*"
SLUG = r"[A-Za-z0-9][A-Za-z0-9._-]*"
NEEDED_PRIVILEGES = {"DELETE", "INSERT", "SELECT", "UPDATE"}

_networks = text(NETWORK, "the names of networks: lower-case letters, digits and single hyphens, a letter first")
_host = text(rf"({HOST})?(:[0-9]{{1,5}})?", "a host name, with a port where it is not the usual one")
_path = text(
    r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*){2,}", "an absolute path below a directory, of letters, digits and . _ - /"
)
_line = Rule("must be a text on one line", lambda value: not CONTROL.search(value))
_cpus = number(0.01, 1024)
_stop = number(1, 3600)
_age = number(0, 10 * 365 * 86400)
_burst = number(0, 1_000_000)


RULES: dict[str, Rule] = {
    "adminer_cpus": _cpus,
    "adminer_database_host": _host,
    "adminer_networks": _networks,
    "adminer_workers": number(1, 100),
    "base_image_http_proxy": text(
        r"https?://[A-Za-z0-9._~%:@\[\]-]+/?", "the address of a proxy, such as http://192.0.2.1:3142"
    ),
    "base_image_packages": text(
        r"[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?", "the names of Debian packages, such as tzdata"
    ),
    "base_image_registry": text(
        r"[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}",
        "pinned by its digest: NAME@sha256: and 64 hexadecimal digits; a tag may be another image tomorrow",
    ),
    "base_image_sources": text(
        APT_SOURCE, "one-line apt sources, such as deb http://mirror.example.org/debian trixie main"
    ),
    "cadvisor_cpus": _cpus,
    "cadvisor_housekeeping_interval": number(1, 3600),
    "cadvisor_labels": text(r"[A-Za-z0-9][A-Za-z0-9._/-]*", "the names of labels, such as pressdock.service"),
    "cadvisor_max_housekeeping_interval": number(1, 86400),
    "cadvisor_networks": _networks,
    "cadvisor_stop_timeout": _stop,
    "certificates_authority_days": number(1, 36500),
    # More than 825 is refused by Apple, more than this by others.
    "certificates_days": number(1, 825),
    "certificates_renew_days": number(1, 824),
    "certificates_warn_days": number(0, 825),
    "container_address_lifetime": number(1, 3600),
    "container_build_timeout": number(60, 86400),
    "container_drain_timeout": number(1, 86400),
    "container_log_files": number(1, 1000),
    "container_log_lines": number(1, 10000),
    "docker_bridge_mtu": number(0, 65535),
    "docker_start_timeout": number(1, 3600),
    "ftp_ban_minutes": number(1, 527040),
    "ftp_clients": number(1, 1000),
    "ftp_clients_per_address": number(1, 1000),
    "ftp_cpus": _cpus,
    "ftp_idle_timeout": number(1, 86400),
    "ftp_login_failures": number(1, 1000),
    "ftp_networks": _networks,
    "ftp_stop_timeout": _stop,
    "healer_after": number(1, 86400),
    "healer_cpus": _cpus,
    "healer_networks": _networks,
    # MariaDB keeps them for 99 days at most.
    "mariadb_binary_log_days": number(1, 99),
    "mariadb_cpus": _cpus,
    "mariadb_foreign_accounts": text(
        r"[^@'\"`\\\x00-\x1f\x7f]{1,128}@[^@'\"`\\\x00-\x1f\x7f]{1,255}", "accounts as user@host, without quotes"
    ),
    "mariadb_max_connections": number(10, 100_000),
    "mariadb_networks": _networks,
    "nginx_cpus": _cpus,
    "nginx_health_path": text(
        r"|/[A-Za-z0-9][A-Za-z0-9._~/-]{0,99}", "a path, such as /balancer-health, or empty for none"
    ),
    "nginx_hsts": text(
        r"|(?i:max-age=[0-9]{1,10}( *; *includeSubDomains)?( *; *preload)?)",
        "such as max-age=31536000; includeSubDomains, or empty for none",
    ),
    "nginx_login_burst": _burst,
    "nginx_networks": _networks,
    "nginx_pids": number(10, 100_000),
    "nginx_service_burst": _burst,
    "nginx_static_max_age": _age,
    # The web server counts on ten seconds for what it does when it ends.
    "nginx_stop_timeout": number(10, 3600),
    "nginx_trusted_proxies": Rule("must be IP addresses or networks, such as 10.0.0.0/8", usable_network),
    "nginx_upstream_timeout": number(1, 86400),
    "nginx_versioned_max_age": _age,
    "nginx_worker_connections": number(64, 500_000),
    "nginx_workers": text(r"auto|[1-9][0-9]{0,2}", 'auto, or a number of processes in quotes, such as "2"'),
    "nginx_xmlrpc_burst": _burst,
    "preflight_lock_file": _path,
    "redis_cpus": _cpus,
    "redis_max_clients": number(1, 100_000),
    "redis_networks": _networks,
    "redis_stop_timeout": _stop,
    "stack_external_networks": _networks,
    "stack_image_epoch": _line,
    "stack_images_kept": number(0, 1000),
    "stack_installation_key_file": _line,
    "stack_rotation_file": _line,
    "wordpress_cpus": _cpus,
    "wordpress_cron_interval": number(1, 86400),
    "wordpress_database_host": _host,
    "wordpress_database_prefix": text(r"[A-Za-z0-9_]{1,40}", "1 to 40 letters, digits and underscores"),
    "wordpress_database_timeout": number(1, 300),
    "wordpress_database_work_timeout": number(1, 3600),
    "wordpress_max_execution_time": number(1, 86400),
    "wordpress_max_input_vars": number(1, 1_000_000),
    "wordpress_table_prefix": text(r"[A-Za-z0-9_]{1,20}", "1 to 20 letters, digits and underscores"),
    "wordpress_theme": text(SLUG, "a theme's directory name"),
    "wordpress_workers": number(1, 1000),
    "site.cpus": _cpus,
    # Which languages there are: `brought_problems`.
    "site.locale": text(r"[a-z]{2,3}(_[A-Z]{2})?(_[a-z0-9]{2,12})?", "a language of WordPress, such as de_DE"),
    "site.max_execution_time": number(1, 86400),
    "site.max_input_vars": number(1, 1_000_000),
    "site.permalinks": text(
        r"|(?=.*%(postname|post_id)%)(/([\w.~-]|%[a-z][a-z0-9_]*%)+)+/?",
        "empty, or begin with a slash and contain %postname% or %post_id%, with letters, digits and . _ ~ - besides",
    ),
    "site.workers": number(1, 1000),
}  # fmt: skip

ELSEWHERE: dict[str, str] = {
    "adminer_domain": "route_problems",
    "adminer_login": "route_problems",
    "adminer_path": "route_problems",
    "adminer_tls": "route_problems",
    "base_image_users": "users_problems",
    "cadvisor_debian_sources": "cadvisor_problems",
    "cadvisor_domain": "route_problems",
    "cadvisor_go_proxy": "cadvisor_problems",
    "cadvisor_login": "route_problems",
    "cadvisor_path": "route_problems",
    "cadvisor_release_sha256": "cadvisor_problems",
    "cadvisor_release_url": "cadvisor_problems",
    "cadvisor_tls": "route_problems",
    "certificates_authority_directory": "path_problems",
    "container_health_interval": "waiting_problems",
    "container_health_timeout": "waiting_problems",
    "container_healthy_timeout": "waiting_problems",
    "drift_timer_arguments": "drift_timer_problems",
    "drift_timer_directory": "drift_timer_problems",
    "drift_timer_metrics_file": "drift_timer_problems",
    "drift_timer_random_delay": "drift_timer_problems",
    "drift_timer_schedule": "drift_timer_problems",
    "drift_timer_time_limit": "drift_timer_problems",
    "drift_timer_user": "drift_timer_problems",
    "ftp_passive_address": "ftp_problems",
    "mariadb_privileges": "privilege_problems",
    "nginx_content_directory": "path_problems",
    "nginx_login_rate": "rate_problems",
    "nginx_security_headers": "site_header_problems",
    "nginx_service_rate": "rate_problems",
    "nginx_static_sites": "route_problems",
    "nginx_xmlrpc_rate": "rate_problems",
    "redis_commands": "redis_problems",
    "redis_extended_commands": "redis_problems",
    "stack_data_dir": "path_problems",
    "stack_installation_key": "key_problems",
    "stack_ipv6": "ipv6_value_problems",
    "stack_ipv6_prefix": "ipv6_value_problems",
    "stack_name": "stack_name_problems",
    "stack_network_mtu": "mtu_problems",
    "stack_patience": "waiting_problems",
    "stack_secret_versions": "version_problems",
    "stack_sizing": "sizing_problems",
    "wordpress_cli_sha256": "source_problems",
    "wordpress_cli_url": "source_problems",
    "wordpress_cli_version": "source_problems",
    "wordpress_constants": "constant_problems",
    "wordpress_directory_url": "source_problems",
    "wordpress_mu_plugins": "must_use_problems",
    "wordpress_php_disabled_functions": "function_problems",
    "wordpress_php_enabled_functions": "function_problems",
    "wordpress_php_extensions": "extension_problems",
    "wordpress_php_ini": "setting_problems",
    "wordpress_release_sha256": "source_problems",
    "wordpress_release_url": "source_problems",
    "wordpress_release_version": "source_problems",
    "wordpress_secret_versions": "version_problems",
    "wordpress_sites": "site_problems",
    "wordpress_smtp": "mail_problems",
    "site.administrator": "user_problems",
    "site.aliases": "domain_problem",
    "site.constants": "constant_problems",
    "site.database_privileges": "privilege_problems",
    "site.domain": "domain_problem",
    "site.multisite": "multisite_problems",
    "site.mu_plugins": "must_use_problems",
    "site.options": "site_option_problems",
    "site.security_headers": "site_header_problems",
    "site.php_disabled_functions": "function_problems",
    "site.php_enabled_functions": "function_problems",
    "site.php_extensions": "extension_problems",
    "site.php_ini": "setting_problems",
    "site.plugins": "site_package_problems",
    "site.role_capabilities": "role_capabilities_problems",
    "site.smtp": "mail_problems",
    "site.table_prefix": "one_site_problems",
    "site.theme": "one_site_problems",
    "site.themes": "site_package_problems",
    "site.timezone": "timezone_problem",
    "site.title": "one_site_problems",
    "site.tls": "one_site_problems",
    "site.users": "user_problems",
}
"""Names of the functions that check a variable, and all that is inside it."""

ANYTHING: dict[str, str] = {
    "docker_daemon_options": "the engine's own program judges them before anything is changed",
    "ftp_extra_config": "the server's own program judges it while the image is built",
    "mariadb_extra_config": "the server's own program judges it while the image is built",
    "nginx_extra_http_config": "the server's own program judges it before it is placed",
    "nginx_extra_site_config": "the server's own program judges it before it is placed",
    "redis_extra_config": "the server's own program judges it while the image is built",
    "site.extra_config": "the server's own program judges it before it is placed",
}
"""Variables of which any value is right, with the reason."""

LINES = re.compile(r"[a-z_.]*extra_([a-z]+_)?config")
"""Variables whose text may have several lines."""


def rule_name(name: str) -> str:
    """Return the name under which the tables know a place such as ``wordpress_sites.blog.plugins[0]``."""
    plain = re.sub(r"\[[0-9]+\]", "", name)
    return re.sub(r"^wordpress_sites\.[^.]+\.", "site.", plain)


def ruled_problems(name: str, value: Any) -> list[str]:
    """Check a value of the right type by its variable's own rule, which is also that of each element of a list."""
    rule = RULES.get(rule_name(name))
    if rule is None or (isinstance(value, list | tuple) and not rule.whole):
        return []
    return [] if rule.fits(value) else [f"{name}: {shown(value)}: {rule.words}"]


def plain_problems(name: str, value: Any) -> list[str]:
    """Find control characters in texts, and numbers that are none, in a value and everything inside it."""
    written = f"{name}: {shown(value)}"
    if isinstance(value, str):
        lines = LINES.fullmatch(rule_name(name)) is not None
        if (NOT_IN_LINES if lines else CONTROL).search(value):
            return [f"{written}: must not contain {'' if lines else 'line breaks or other '}control characters"]
        return [f"{name}: must be valid Unicode"] if re.search(r"[\ud800-\udfff]", value) else []
    if isinstance(value, bool):
        return []
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{written}: must be a finite number"]
    if isinstance(value, int | float) and abs(value) > LARGEST:
        return [f"{written}: must not be beyond {LARGEST}"]
    return []


def nested_problems(name: str, value: Any) -> list[str]:
    """Apply :func:`plain_problems` to what a dict without declared options holds, its keys included."""
    problems: list[str] = []
    if isinstance(value, Mapping):
        for key, item in value.items():
            problems += plain_problems(f"{name}: a key", key) + nested_problems(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            problems += nested_problems(f"{name}[{index}]", item)
    else:
        problems += plain_problems(name, value)
    return problems


# --- Dicts of an operator's own names -------------------------------------------------------------------------------

USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
FIRST_UID, LAST_UID = 100, 59999
# Users and groups of every Debian.
SYSTEM_USERS = frozenset((
    "_apt", "adm", "audio", "backup", "bin", "cdrom", "daemon", "dialout", "dip", "disk", "fax", "floppy", "games",
    "irc", "kmem", "list", "lp", "mail", "man", "news", "nobody", "nogroup", "operator", "plugdev", "proxy", "root",
    "sasl", "shadow", "src", "staff", "sudo", "sync", "sys", "tape", "tty", "users", "utmp", "uucp", "video", "voice",
    "www-data",
))  # fmt: skip


def users_problems(users: Any, needed: Mapping[str, Any]) -> list[str]:
    """Check `base_image_users`: names that are no system's, a uid for each, and none twice.

    :param needed: the services' own users, all of which must be there.
    """
    if not isinstance(users, Mapping):
        return []
    missing = [name for name in needed if name not in users]
    problems = [f"base_image_users.{name}: missing: a service runs as this user" for name in missing]
    holders: dict[int, str] = {}
    for name, uid in users.items():
        place = f"base_image_users.{name}"
        if not isinstance(name, str) or not USER_NAME.fullmatch(name) or name in SYSTEM_USERS:
            problems.append(
                f"base_image_users: {shown(name)}: must be a name of its own: up to 32 lower-case letters, digits, - "
                "and _, and none of Debian's users or groups"
            )
        elif isinstance(uid, bool) or not isinstance(uid, int) or not FIRST_UID <= uid <= LAST_UID:
            problems.append(f"{place}: {shown(uid)}: must be a whole number from {FIRST_UID} to {LAST_UID}")
        elif uid in holders:
            problems.append(f"{place}: {uid}: already the uid of {holders[uid]}: one would own the other's files")
        else:
            holders[uid] = name
    return problems


VERSION_NAMES = {
    "stack_secret_versions": (
        re.compile(r"tool/[a-z][a-z0-9]{0,15}|redis/(health|drift)-check"),
        "must be tool/<name>, redis/health-check or redis/drift-check",
    ),
    "wordpress_secret_versions": (
        re.compile(r"[a-z][a-z0-9]{0,15}/[A-Za-z0-9_.@-]{1,60}"),
        "must be <site>/<login>, <site>/salts, database/<site>, ftp/<site> or redis/<site>",
    ),
}


def version_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the declared versions of derived secrets: a name of a known form, and a whole number from 1."""
    problems = []
    for variable, (pattern, words) in VERSION_NAMES.items():
        versions = values.get(variable)
        for name, version in versions.items() if isinstance(versions, Mapping) else ():
            if not isinstance(name, str) or not pattern.fullmatch(name):
                problems.append(f"{variable}: {shown(name)}: {words}")
            elif isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= LARGEST:
                problems.append(f"{variable}.{name}: {shown(version)}: must be a whole number from 1")
    return problems


# --- What belongs together ------------------------------------------------------------------------------------------


def between_values_problems(values: Mapping[str, Any]) -> list[str]:
    """Check variables that limit each other. One of a wrong type, or that breaks its own rule, has its line already."""
    problems = []

    def whole(name: str) -> int | None:
        value = values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    for name, limit, words in (
        ("certificates_renew_days", "certificates_days", "less than"),
        ("certificates_days", "certificates_authority_days", "less than"),
        ("cadvisor_housekeeping_interval", "cadvisor_max_housekeeping_interval", "at most"),
    ):
        low, high = whole(name), whole(limit)
        if low is not None and high is not None and (low > high or (low == high and words == "less than")):
            problems.append(f"{name}: {low}: must be {words} {limit} ({high})")
    if values.get("nginx_health_path") and not values.get("nginx_trusted_proxies"):
        problems.append(
            f"nginx_health_path: {shown(values['nginx_health_path'])}: is answered for nginx_trusted_proxies alone, "
            "and there are none"
        )
    privileges = values.get("mariadb_privileges")
    if isinstance(privileges, list | tuple):
        lacking = sorted(NEEDED_PRIVILEGES - {item for item in privileges if isinstance(item, str)})
        if lacking:
            problems.append(f"mariadb_privileges: {shown(privileges)}: WordPress needs {', '.join(lacking)} too")
    networks, external = (
        {item for item in found if isinstance(item, str)} if isinstance(found, list | tuple) else None
        for found in (values.get("nginx_networks"), values.get("stack_external_networks"))
    )
    if networks is not None and external is not None and not networks & external:
        problems.append(
            f"stack_external_networks: {shown(values['stack_external_networks'])}: must hold one that the web server "
            "joins, such as edge: an internal network publishes no port"
        )
    for name, least in (("adminer_networks", 2), ("cadvisor_networks", 1), ("ftp_networks", 1), ("healer_networks", 1)):
        if isinstance(values.get(name), list | tuple) and len(values[name]) < least:
            problems.append(f"{name}: {shown(values[name])}: must have at least {least}")
    return problems


# --- Time zones -----------------------------------------------------------------------------------------------------


def _zone_folders() -> list[Path]:
    return [folder for folder in map(Path, TZPATH) if (folder / "tzdata.zi").is_file()]


@functools.cache
def time_zones(folder: Path | None = None) -> tuple[frozenset[str], Mapping[str, str]]:
    """Return the time zones that this machine knows, and the old names among them with the names that replaced them.

    :return: nothing where the machine has no list of them.
    """
    folders = [folder] if folder else _zone_folders()
    if not folders:
        return frozenset(), {}
    zones: set[str] = set()
    links: dict[str, str] = {}
    for line in (folders[0] / "tzdata.zi").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if line.startswith("Z "):
            zones.add(words[1])
        elif line.startswith("L "):
            links[words[2]] = words[1]
    # The tables of places: what stands in there is no old name, though it may be the same as another one.
    current: set[str] = set()
    for table in ("zone.tab", "zone1970.tab"):
        path = folders[0] / table
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        current |= {line.split("\t")[2].strip() for line in lines if line and not line.startswith("#")}
    kept = {name for name in links if name == "UTC" or name.startswith("Etc/")}
    old = {name: target for name, target in links.items() if current and name not in current | kept}
    return frozenset(zones | set(links)), old


def timezone_problem(value: Any) -> str | None:
    """Return the rule that a site's time zone breaks. Old names are right: :func:`timezone_name` replaces them."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}", value):
        return "must be a time zone, such as Europe/Berlin or UTC"
    known, _ = time_zones()
    if known and value not in known:
        same = next((name for name in sorted(known) if name.casefold() == value.casefold()), "")
        return f"is no time zone: write {same or 'one such as Europe/Berlin or UTC'}"
    return None


def timezone_name(value: str) -> str:
    """Return the name that a time zone has now: from trixie on Debian's PHP does not know the old ones.

    A name that is no old one, or that this machine cannot judge, stays as it is.
    """
    seen, (_, old) = value, time_zones()
    for _ in old:
        if seen not in old:
            break
        seen = old[seen]
    return seen


# --- Options of WordPress -------------------------------------------------------------------------------------------

OPTIONS_DECLARED_ELSEWHERE = {
    "active_plugins": "the site's plugins",
    "admin_email": "administrator.email",
    "blogname": "the site's title",
    "current_theme": "the site's theme",
    "db_version": "the image",
    "gmt_offset": "the site's timezone",
    "home": "the site's domain",
    "initial_db_version": "the image",
    "permalink_structure": "the site's permalinks",
    "rewrite_rules": "the site's permalinks",
    "siteurl": "the site's domain",
    "stylesheet": "the site's theme",
    "stylesheet_root": "the site's theme",
    "template": "the site's theme",
    "template_root": "the site's theme",
    "timezone_string": "the site's timezone",
    "wplang": "the site's locale",
}
"""Options by their names in lower case, as the database compares them, with the fields that mean them."""
OPTIONS_OF_WORDPRESS = re.compile(
    r"(pressdock_.*|cron|recently_edited|recently_activated|uninstall_plugins|new_admin_email|adminhash|auto_updater\.lock"
    r"|core_updater\.lock|db_upgraded|finished_splitting_shared_terms|can_compress_scripts|.*user_roles|alloptions"
    r"|notoptions|_transient_.*|_site_transient_.*)"
)
LONGEST_OPTION = 191


def site_option_problems(place: str, options: Any) -> list[str]:
    """Check a site's further options: names that nothing else declares, and values that WordPress can keep."""
    problems: list[str] = []
    seen: dict[str, str] = {}
    for name, value in options.items() if isinstance(options, Mapping) else ():
        here = f"{place}.{name}"
        if (
            not isinstance(name, str)
            or not 1 <= len(name) <= LONGEST_OPTION
            or CONTROL.search(name)
            or name != name.strip()
        ):
            problems.append(f"{place}: {shown(name)}: an option's name is text of 1 to {LONGEST_OPTION} characters")
            continue
        folded = name.casefold()
        if folded in OPTIONS_DECLARED_ELSEWHERE:
            problems.append(f"{here}: is declared by {OPTIONS_DECLARED_ELSEWHERE[folded]}: set that, and take this out")
        elif OPTIONS_OF_WORDPRESS.fullmatch(folded):
            problems.append(f"{here}: is written by WordPress itself, or by this project: take it out")
        elif folded in seen:
            problems.append(f"{here}: is the same option as {seen[folded]}: the database does not tell them apart")
        elif folded == "default_role" and isinstance(value, str) and value.strip().casefold() == "administrator":
            problems.append(f"{here}: {shown(value)}: whoever registers would own the site: take another role")
        seen.setdefault(folded, name)
        problems += _option_value_problems(here, value) or _kept_option_problems(here, folded, value)
    return problems


NUMBER_OPTIONS = re.compile(
    r"(thumbnail|medium|medium_large|large)_size_[wh]|default_(category|email_category|link_category)"
    r"|page_(for_posts|on_front)"
    r"|close_comments_days_old|comment_max_links|comments_per_page|mailserver_port|rss_excerpt_length|site_icon"
    r"|start_of_week|thread_comments_depth|wp_page_for_privacy_policy"
)
"""Options of which WordPress keeps a whole number that is not negative, whatever is given."""
COUNT_OPTIONS = frozenset({"posts_per_page", "posts_per_rss"})
"""Those of which it keeps a number of posts: at least one, or -1 for all."""
SWITCH_OPTIONS = frozenset({"blog_public", "users_can_register"})


def _kept_option_problems(place: str, name: str, value: Any) -> list[str]:
    """Check a value of which WordPress would keep another one without a word."""
    text_ = str(int(value)) if isinstance(value, bool) else str(value).strip()
    if NUMBER_OPTIONS.fullmatch(name) and not re.fullmatch(r"[0-9]{1,10}", text_):
        return [f"{place}: {shown(value)}: must be a whole number from 0; WordPress keeps nothing else"]
    if name in COUNT_OPTIONS and not re.fullmatch(r"-1|[1-9][0-9]{0,9}", text_):
        return [f"{place}: {shown(value)}: must be a whole number from 1, or -1 for all; WordPress keeps nothing else"]
    if name in SWITCH_OPTIONS and text_ not in ("0", "1"):
        return [f"{place}: {shown(value)}: must be 0 or 1; WordPress keeps nothing else"]
    if name in ("default_comment_status", "default_ping_status", "default_pingback_flag") and text_ == "":
        return [f"{place}: {shown(value)}: must be open or closed; WordPress keeps nothing else"]
    return []


def _option_value_problems(place: str, value: Any) -> list[str]:
    """Check that PHP can have an option's value. Texts may have several lines."""
    if isinstance(value, Mapping):
        return [problem for key, item in value.items() for problem in _option_value_problems(f"{place}.{key}", item)]
    if isinstance(value, list | tuple):
        return [p for index, item in enumerate(value) for p in _option_value_problems(f"{place}[{index}]", item)]
    if isinstance(value, str):
        wrong = NOT_IN_LINES.search(value) or re.search(r"[\ud800-\udfff]", value)
        return [f"{place}: {shown(value)}: must not contain control characters, and be valid Unicode"] if wrong else []
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return plain_problems(place, value)
    return [f"{place}: {shown(value)}: must be text, a number, true, false, a list or a dict (put a date in quotes)"]


# --- Texts that WordPress changes -----------------------------------------------------------------------------------


LONGEST_NAME = 250


def kept_text(value: str) -> str:
    """Return what WordPress makes of a name that people see (its `sanitize_text_field`)."""
    text_ = re.sub(r"<(?=[A-Za-z/!?])[^>]*>?", "", value)
    text_ = re.sub(r"[\r\n\t ]+", " ", text_).strip()
    while (shorter := re.sub(r"%[A-Fa-f0-9]{2}", "", text_)) != text_:
        text_ = re.sub(r" +", " ", shorter).strip()
    return text_


def display_name_problem(value: Any) -> str | None:
    """Return the rule that a display name breaks."""
    if not isinstance(value, str) or not value.strip():
        return "must be text that is not empty (without it WordPress's own choice stays)"
    if CONTROL.search(value):
        return "must not contain line breaks or other control characters"
    # The column's length; what HTML writes otherwise is stored so.
    if len(html.escape(html.unescape(value), quote=False)) > LONGEST_NAME:
        return f"must have at most {LONGEST_NAME} characters (&, < and > count as 4 or 5)"
    kept = kept_text(value)
    return None if kept == value else f"WordPress would make {shown(kept)} of it: write that"


class FilterModule:
    """Ansible's entry point: Ansible reads every file of this folder, and these rules are functions for others."""

    def filters(self) -> dict[str, Any]:
        """Name the one filter."""
        return {"timezone_name": timezone_name}
