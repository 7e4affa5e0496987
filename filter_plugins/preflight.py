# SPDX-License-Identifier: MIT
"""The rules of the preflight: what may be declared, and what a target and a controller must offer.

Every rule is a pure function that takes values and returns problems, one line each: the variable's name, its value
(never a secret's) and the rule. They are collected, not raised, so that an operator sees all of them at once. The
`preflight` action gathers the values; `preflight_problems` applies the rules.
"""

from __future__ import annotations

import difflib
import ipaddress
import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.container import MTU_OPTION
from filter_plugins.formats import bytes_from_size
from filter_plugins.ipv6 import bind_address_problem, bind_addresses, prefix_problem, range_problems, wanted
from filter_plugins.mariadb import privilege_problems
from filter_plugins.multisite import between_problems, multisite_problems
from filter_plugins.nginx import route_problems, site_header_problems
from filter_plugins.packages import site_package_problems
from filter_plugins.secrets import parse_key
from filter_plugins.sizing import AUTO, site_memory
from filter_plugins.smtp import smtp_problems
from filter_plugins.values import (
    APT_SOURCE,
    SLUG,
    WEB_ADDRESS,
    between_values_problems,
    display_name_problem,
    nested_problems,
    plain_problems,
    ruled_problems,
    shown,
    site_option_problems,
    timezone_problem,
    users_problems,
    version_problems,
)

# What the engine takes networks' addresses from where nothing else is declared: thirty-one networks.
BUILT_IN_POOLS = (
    *({"base": f"172.{number}.0.0/16", "size": 16} for number in (17, 18, 19)),
    *({"base": f"172.{number}.0.0/14", "size": 16} for number in (20, 24, 28)),
    {"base": "192.168.0.0/16", "size": 20},
)
ALL_ROUTES_BEFORE = 23
DISTRIBUTIONS = {"Debian": ("12", "13"), "Ubuntu": ("24.04",)}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CONTROLLER_PYTHON = (3, 11)
TARGET_PYTHON = (3, 11)
# A stack that runs already needs room for a rebuilt image, not for everything: this part of the minimum.
RUNNING_DISK_PART = 10

# What a small Debian with the engine works with, and what the engine needs for each container besides.
SYSTEM_BYTES = 256 * 1024**2
CONTAINER_BYTES = 8 * 1024**2
# The largest of what needs memory that a message names.
NEEDS_NAMED = 5

SHORTEST_SECRET = 12
LONGEST_SECRET = 1024
# What crypt(3) hashes, which checks the FTP logins.
LONGEST_FTP_PASSWORD = 500
# Memory of an FTP session while its password is checked.
FTP_SESSION_BYTES = 7 * 1024**2
# Memory that Redis cannot do with less of.
SMALLEST_REDIS = 16 * 1024**2
# Connections besides those of the sites' PHP workers: health check, reconciliation, scheduled events.
SPARE_CLIENTS = 20
REDIS_COMMAND = re.compile(r"[A-Za-z][A-Za-z0-9._-]*(\|[A-Za-z][A-Za-z0-9_-]*)?")
# Commands that reach beyond a user's own keys, by a command's first word.
REDIS_FORBIDDEN = frozenset((
    "acl", "bgrewriteaof", "bgsave", "cluster", "config", "debug", "failover", "flushall", "flushdb", "function",
    "keys", "latency", "migrate", "module", "monitor", "psync", "replicaof", "restore-asking", "save", "script",
    "shutdown", "slaveof", "slowlog", "swapdb", "sync",
))  # fmt: skip
# What the web server works with besides the bodies of uploads.
WEB_SERVER_BYTES = 32 * 1024**2
# What PHP takes for compiled files at least; with less it does not start.
SMALLEST_OPCODE_CACHE = 8 * 1024**2
# What IPv6 asks of a link, and what the kernel takes.
SMALLEST_MTU, LARGEST_MTU = 1280, 65535
ETHERNET_MTU = 1500
# Where the engine builds images, whose packets are as large as Ethernet's unless it is told otherwise.
BUILD_NETWORK = "bridge"
SMALLEST_MACHINE = 512 * 1024**2
# Words of examples and of the lists that attackers try first. What is left of a secret without them must still be one.
PLACEHOLDERS = (
    "administrator", "changeit", "changeme", "placeholder", "password", "passw0rd", "p4ssw0rd", "p@ssw0rd", "passwort",
    "motdepasse", "wordpress", "pressdock", "replaceme", "replace", "example", "default", "letmein", "secret", "change",
    "qwerty", "azerty", "admin", "login", "token", "abcdef", "your", "test", "todo", "user", "root", "this", "here",
    "pass", "key", "me", "my", "it",
)  # fmt: skip

SITE_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")
STACK_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LOGIN = re.compile(r"[A-Za-z0-9_.@-]{1,60}")
EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?P<domain>[A-Za-z0-9.-]+\.[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9])"
)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RELEASE_VERSION = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?(-[A-Za-z0-9]+)?")
RATE = re.compile(r"[1-9][0-9]{0,5}r/[sm]")
TABLE_PREFIX = re.compile(r"[A-Za-z0-9_]{1,20}")
ACCOUNT_KEYS = ("display_name", "email", "password", "role")
WORDPRESS_ROLES = ("administrator", "editor", "author", "contributor", "subscriber")
# Names of sites that something of the stack has already, with what that is.
RESERVED_SITES = {
    "cron": "the container wordpress-cron runs the scheduled events of all sites",
    "default": "Redis has a user of this name, for whoever gives none",
}
RESERVED_DATABASES = frozenset(("information_schema", "mysql", "performance_schema", "public", "root", "sys", "test"))
SITE_REQUIRED = ("domain", "title", "administrator", "users")

# Directories that belong to the system. The data may be neither in them nor, for the first group, anywhere below.
SYSTEM_TREES = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/lost+found", "/proc", "/run", "/sbin",
    "/sys", "/tmp", "/usr", "/var/cache", "/var/lib/apt", "/var/lib/containerd", "/var/lib/dpkg", "/var/log",  # noqa: S108
    "/var/run", "/var/tmp",  # noqa: S108
)  # fmt: skip
SYSTEM_DIRECTORIES = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/var", "/var/lib", "/var/lib/docker")

# What an option's name says about its value beyond its type: every role's options are checked by these.
SIZE_SUFFIX = re.compile(
    r"_(memory|memory_limit|memory_min|disk_min|upload_limit|log_size|temporary_size|buffer_pool|maxmemory)$"
)
POSITIVE_SUFFIX = re.compile(
    r"[_.](timeout|interval|retries|pids|cpus|workers|days|kept|lines|files|max_execution_time|max_input_vars)$"
)
PLAIN_ARGUMENT = re.compile(r"[A-Za-z0-9._/:=@,+-]+")
SYSTEMD_TIME = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*,.:/~_ +-]*")
PLAIN_FILE = r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+"
DRIFT_TIMER_RULES = {
    "drift_timer_schedule": (SYSTEMD_TIME, "must be a time as OnCalendar of systemd takes it, such as daily"),
    "drift_timer_random_delay": (SYSTEMD_TIME, "must be a time span as systemd takes it, such as 20min"),
    "drift_timer_time_limit": (SYSTEMD_TIME, "must be a time span as systemd takes it, such as 20min"),
    "drift_timer_user": (re.compile(r"[a-z_][a-z0-9_-]{0,31}"), "must be the name of a user"),
    "drift_timer_metrics_file": (
        re.compile(rf"{PLAIN_FILE}\.prom"),
        "must be an absolute path of letters, digits and . _ - / that ends in .prom, as exporters want it",
    ),
    # The project's own place stands in a unit as well.
    "ansible_config_file": (re.compile(PLAIN_FILE), "the project's path may contain letters, digits and . _ - / only"),
}
OWN_DIRECTIVE = re.compile(r"(?mi)^\s*(?P<name>(loose[_-])?(init[_-]file|secure[_-]file[_-]priv))\s*(=|$)")
# Dicts whose texts have rules of their own: passwords are among them, and options of several lines.
OWN_TEXTS = re.compile(r"wordpress_sites|wordpress_sites\..+\.(users|options)|nginx_(services|sites|static_sites)")
ZERO_ALLOWED = re.compile(r"_kept$")

TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "path": (str,), "int": (int,), "float": (float, int), "bool": (bool,), "list": (list, tuple),
    "dict": (Mapping,),
}  # fmt: skip


@dataclass
class Declared:
    """What was declared, resolved: the variables by name, and what the roles say about them.

    `specs` holds the options of all roles' entry points by variable name, `known` the names of all variables that
    roles have, `names` those of all that are set, `wired` those that are computed from others, `containers` one dict a
    container of the stack (service, name, networks, ports, memory, memory_needed), `address_pools` where the engine
    takes networks' addresses from (its own pools, if empty), `ipv6` whether the stack has IPv6, `ipv6_lacking` what the
    target lacks for that. `sound` tells whether nothing was wrong so far.
    """

    values: Mapping[str, Any]
    specs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    names: Sequence[str] = ()
    known: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    containers: Sequence[Mapping[str, Any]] = ()
    address_pools: Sequence[Mapping[str, Any]] = ()
    ipv6: bool = False
    ipv6_lacking: Sequence[str] = ()
    site_spec: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wired: Sequence[str] = ()
    sound: bool = True


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ", did you mean x?" for the most similar known name, or nothing."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f", did you mean {matches[0]}?" if matches else ""


# --- Values against the argument specifications ---------------------------------------------------------------------


def is_secret(specification: Mapping[str, Any]) -> bool:
    """Tell whether an option is marked no_log in its argument specification."""
    return bool(specification.get("no_log"))


def coerced(value: Any, kind: str) -> Any:
    """Return `value` with text turned into the number or boolean it spells, as the command line's -e needs it."""
    if isinstance(value, str) and kind == "int" and re.fullmatch(r"[+-]?[0-9]+", value.strip()):
        return int(value)
    if isinstance(value, str) and kind == "float" and re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", value.strip()):
        return float(value)
    if isinstance(value, str) and kind == "bool" and value.lower() in {"true", "yes", "on", "1"}:
        return True
    if isinstance(value, str) and kind == "bool" and value.lower() in {"false", "no", "off", "0"}:
        return False
    return value


def type_problem(value: Any, kind: str) -> str | None:
    """Return what is wrong with a value's type; a boolean is no number, and a fraction no whole number."""
    value = coerced(value, kind)
    if kind not in TYPES:
        return None
    if isinstance(value, TYPES[kind]) and not (isinstance(value, bool) and kind != "bool"):
        return None
    words = {
        "str": "text", "path": "a path", "int": "a whole number", "float": "a number", "bool": "true or false",
        "list": "a list", "dict": "a dict",
    }  # fmt: skip
    return f"must be {words[kind]}"


def value_problems(name: str, value: Any, specification: Mapping[str, Any], secret: bool = False) -> list[str]:
    """Check one value, and everything inside it, against its argument specification."""
    secret = secret or is_secret(specification)
    written = name if secret else f"{name}: {shown(value)}"
    kind = specification.get("type", "str")
    if value is None:
        required = specification.get("required", False) or specification.get("default") is not None
        return [f"{name}: null: must have a value"] if required else []
    wrong = type_problem(value, kind)
    if wrong:
        return [f"{written}: {wrong}"]
    value = coerced(value, kind)
    choices = specification.get("choices")
    if choices and kind != "list" and value not in choices:
        return [f"{written}: must be one of {', '.join(str(choice) for choice in choices)}"]
    # An option whose default is empty means something by it.
    meaningful = not secret and not (value == "" and specification.get("default") == "")
    problems = (plain_problems(name, value) or named_problems(name, value)) if meaningful else []
    if meaningful and not problems:
        problems = ruled_problems(name, value)
    if kind == "list":
        problems += _list_problems(name, value, specification, secret)
    elif kind == "dict" and specification.get("options"):
        problems += option_problems(name, value, specification["options"], secret)
    elif kind == "dict" and not secret and not OWN_TEXTS.fullmatch(name):
        problems += nested_problems(name, value)
    return problems


def _list_problems(name: str, value: Sequence[Any], specification: Mapping[str, Any], secret: bool) -> list[str]:
    """Check a list's elements; choices apply to each of them."""
    inner = {
        "type": specification.get("elements", "raw"),
        "choices": specification.get("choices"),
        "options": specification.get("options"),
        "required": True,
    }
    return [
        problem
        for index, item in enumerate(value)
        for problem in value_problems(f"{name}[{index}]", item, inner, secret)
    ]


def option_problems(
    name: str, value: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]], secret: bool = False
) -> list[str]:
    """Check a dict against its options: unknown and missing keys, and each value."""
    problems = [f"{name}.{key}: unknown{nearest(str(key), options)}" for key in value if key not in options]
    for key, specification in options.items():
        if key in value:
            problems += value_problems(f"{name}.{key}", value[key], specification, secret)
        elif specification.get("required"):
            problems.append(f"{name}.{key}: missing")
    return problems


def named_problems(name: str, value: Any) -> list[str]:
    """Apply what an option's name says: ports, addresses to bind, sizes, counts."""
    written = f"{name}: {shown(value)}"
    if re.search(r"_port$", name) and isinstance(value, int) and not 1 <= value <= 65535:
        return [f"{written}: a port is a number from 1 to 65535"]
    if name.endswith("_bind_address"):
        rule = bind_address_problem(value)
        return [f"{written}: {rule}"] if rule else []
    if SIZE_SUFFIX.search(name) and isinstance(value, str | int):
        return size_problems(name, value)
    if POSITIVE_SUFFIX.search(name) and isinstance(value, int | float):
        least = 0 if ZERO_ALLOWED.search(name) else 1 if isinstance(value, int) else 0.01
        return [f"{written}: must be at least {least}"] if value < least else []
    return []


def size_problems(name: str, value: Any) -> list[str]:
    """Check a size such as 384m."""
    try:
        bytes_from_size(value)
    except AnsibleFilterError as error:
        return [f"{name}: {error.message}"]
    return []


def size_of(value: Any) -> int | None:
    """Return a size's bytes; nothing for one that is wrong, which its own rule reports."""
    try:
        return int(bytes_from_size(value))
    except AnsibleFilterError:
        return None


def variable_name_problems(names: Iterable[str], known: Iterable[str], prefixes: Iterable[str]) -> list[str]:
    """Find variables that nothing reads: they begin as a role's do, or look very much like a known one."""
    known_names = sorted(set(known))
    public = [name for name in known_names if not name.startswith("_")]
    bare = {_bare(name): name for name in public}
    beginnings = tuple(f"{prefix}_" for prefix in prefixes)
    problems = []
    for name in sorted(set(names) - set(known_names)):
        if name.startswith(beginnings):
            problems.append(f"{name}: no such variable{nearest(name, known_names)}")
        elif name.casefold().startswith(beginnings):
            problems.append(f"{name}: no such variable{nearest(name.casefold(), public)}")
        elif not name.startswith(("_", "ansible_", "molecule_")):
            # Written in another way, or with the name of the product in place of the role's.
            same = bare.get(_bare(name)) or next((b for a in _with_roles(name) if (b := bare.get(_bare(a)))), None)
            close = [same] if same else difflib.get_close_matches(name.casefold(), public, n=1, cutoff=0.9)
            if close:
                problems.append(f"{name}: no such variable, did you mean {close[0]}?")
    return problems


# What people call a service, and the beginning of its variables.
OTHER_WORDS = {
    "adminer": ("phpmyadmin", "pma"), "cadvisor": ("advisor",), "certificates": ("certificate", "tls", "ssl", "cert"),
    "docker": ("dockerd", "engine"), "ftp": ("proftpd", "vsftpd", "ftpd", "ftps"),
    "mariadb": ("mysql", "maria", "maria_db", "db", "database"), "nginx": ("web", "webserver", "http", "httpd"),
    "redis": ("cache", "valkey"), "stack": ("pressdock",), "wordpress": ("wp", "php", "fpm", "phpfpm", "php_fpm"),
}  # fmt: skip


def _bare(name: str) -> str:
    """Write a name without what people write in different ways."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _with_roles(name: str) -> Iterator[str]:
    """Put the role's name before a variable that begins with another word for the same service."""
    folded = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).casefold().replace("-", "_")
    for role, words in OTHER_WORDS.items():
        for word in words:
            if folded.startswith(f"{word}_"):
                yield f"{role}_{folded.removeprefix(f'{word}_')}"


# --- The installation -----------------------------------------------------------------------------------------------


def stack_name_problems(value: Any) -> list[str]:
    """Check the name that begins the names of all containers, networks, volumes and images."""
    if isinstance(value, str) and len(value) <= 32 and STACK_NAME.fullmatch(value):
        return []
    return [
        f"stack_name: {shown(value)}: must be 1 to 32 lower-case letters, digits and single hyphens, a letter first"
    ]


def path_problems(name: str, value: Any, real: str | None = None) -> list[str]:
    """Check the directory that will hold data: absolute, plain, and no directory of the system.

    :param real: the path with the target's symbolic links resolved, where known: it must obey the same rules.
    """
    written = f"{name}: {shown(value)}"
    if not isinstance(value, str) or not value.startswith("/"):
        return [f"{written}: must be an absolute path"]
    if not re.fullmatch(r"[A-Za-z0-9._/-]+", value):
        return [f"{written}: may contain letters, digits and . _ - / only"]
    if any(part in {".", ".."} for part in value.split("/")):
        return [f"{written}: must not contain '.' or '..' as a part"]
    for path, reason in ((value, ""), (real or value, f" (a symbolic link leads to {real})")):
        plain = "/" + posixpath.normpath(path).strip("/")
        if plain in SYSTEM_DIRECTORIES or any(plain == tree or plain.startswith(tree + "/") for tree in SYSTEM_TREES):
            return [f"{written}: a directory of the system cannot hold the data{reason}"]
        if plain.startswith("/var/lib/docker/"):
            return [f"{written}: the engine's own directory cannot hold the data{reason}"]
    return []


OWN_FILE = "group_vars/stack.yml"


def file_problems(files: Mapping[str, Mapping[str, Any]], shipped: Sequence[str]) -> list[str]:
    """Check that no value of an operator's own file is lost to one of the project's, which is read after it.

    :param files: names of the files below `group_vars/all` to what they declare, in the order that Ansible reads them.
    :param shipped: those that come with the project.
    """
    problems = []
    for name in sorted({name for declared in files.values() for name in declared}):
        places = [file for file, declared in files.items() if name in declared]
        winner = places[-1]
        lost = [file for file in places if file not in shipped and files[file][name] != files[winner][name]]
        if winner in shipped and lost:
            problems.append(
                f"{name}: declared in group_vars/all/{lost[-1]}, but group_vars/all/{winner} is read after it and "
                f"wins: move your value to {OWN_FILE}, which wins over both"
            )
    return problems


def other_stack_problems(path: Any, real: str | None, stacks: Mapping[str, str]) -> list[str]:
    """Check that no other stack of the target has its data where this one's will be, or in it, or around it.

    :param stacks: directories of the target's other stacks to these stacks' names.
    """
    problems = []
    for place in dict.fromkeys(posixpath.normpath(p) for p in (path, real) if isinstance(p, str) and p.startswith("/")):
        for other, name in stacks.items():
            if f"{place}/".startswith(f"{other}/") or f"{other}/".startswith(f"{place}/"):
                problems.append(
                    f"stack_data_dir: {shown(path)}: the stack {name} has its data in {other}: declare another "
                    "directory, or, to go on with that stack, its stack_name"
                )
    return list(dict.fromkeys(problems))


def key_problems(
    key: Any, file_path: str = "", file_text: str | None = None, file_mode: int | None = None
) -> list[str]:
    """Check the installation key and, when it comes from the key file, that file's completeness and mode."""
    try:
        parse_key(key)
    except AnsibleFilterError as error:
        problems = [f"stack_installation_key: {error.message}"]
    else:
        problems = []
    if file_text is None or not isinstance(key, str) or file_text.strip() != key.strip():
        return problems
    text = file_text.strip()
    if not problems and re.fullmatch(r"[0-9A-Fa-f]+", text) and len(text) < 64:
        problems.append(
            f"stack_installation_key_file: {file_path}: has {len(text)} of 64 hexadecimal digits: it was cut short; "
            "restore it from your copy"
        )
    if file_mode is not None and file_mode & 0o077:
        problems.append(
            f"stack_installation_key_file: {file_path}: mode {file_mode & 0o7777:04o} lets others read it: chmod 0600"
        )
    return problems


def secret_problem(value: Any) -> str | None:
    """Return the rule that a secret breaks. Quotes, backslashes, templates and the like are all allowed."""
    if not isinstance(value, str):
        return "must be text (put it in quotes)"
    if not value:
        return "must not be empty"
    if len(value) < SHORTEST_SECRET:
        return f"must have at least {SHORTEST_SECRET} characters"
    if len(value) > LONGEST_SECRET:
        return f"must have at most {LONGEST_SECRET} characters"
    if re.search(r"[\x00-\x1f\x7f]", value):
        return "must not contain NUL, line breaks or other control characters"
    if re.search(r"[\ud800-\udfff]", value):
        return "must be valid Unicode"
    if len(set(value)) < 5:
        return "must have at least 5 different characters"
    return "is a placeholder, set one of your own" if is_placeholder(value) else None


def is_placeholder(value: str) -> bool:
    """Tell whether nothing but words of examples, digits and punctuation makes up a secret of letters."""
    text = value.casefold()
    if not re.search(r"[^\W\d_]", text):
        # Digits and punctuation alone: only a count such as 123456789012 is a placeholder.
        digits = re.sub(r"\D", "", text)
        return len(digits) == len(text) and digits in "01234567890123456789012345678901234567890"
    found = any(word in text for word in PLACEHOLDERS if len(word) >= 6)
    for word in PLACEHOLDERS:
        text = text.replace(word, "")
    return found and len(re.sub(r"[\W\d_]", "", text)) < 4


def secret_problems(secrets: Mapping[str, Any]) -> list[str]:
    """Check secrets that were given explicitly, by variable name: each by itself, and that no two are the same."""
    problems = [f"{name}: {problem}" for name, value in secrets.items() if (problem := secret_problem(value))]
    first: dict[str, str] = {}
    for name, value in secrets.items():
        if not isinstance(value, str) or not value:
            continue
        if value in first:
            problems.append(f"{name}: must not be the same secret as {first[value]}")
        first.setdefault(value, name)
    return problems


# --- Sites ----------------------------------------------------------------------------------------------------------


def domain_problem(value: Any) -> str | None:
    """Return the rule that a domain name breaks (RFC 1123; international names in their xn-- form)."""
    if not isinstance(value, str) or not value:
        return "must be a domain name"
    if not value.isascii():
        try:
            hint = f", here {value.encode('idna').decode()}"
        except UnicodeError:
            hint = ""
        return f"write an international domain name in its xn-- form{hint}"
    try:
        ipaddress.ip_address(value.strip("[]"))
    except ValueError:
        pass
    else:
        return "must be a name, not an IP address"
    labels = value.split(".")
    too_long = [label for label in labels if len(label) > 63]
    if too_long or len(value) > 253:
        return "is too long: at most 63 characters between dots, 253 together"
    if not all(LABEL.fullmatch(label) for label in labels):
        return "must be lower-case letters, digits and hyphens, separated by dots"
    if labels[-1].isdigit():
        return "must not end in a number"
    return None


def site_problems(sites: Any, spec: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    """Check `wordpress_sites`: names, every site by itself, and what must differ between sites.

    :param spec: the options of one site, from the wordpress role's argument specification, for unknown keys and types.
    """
    if not isinstance(sites, Mapping):
        return [f"wordpress_sites: {shown(sites)}: must be a dict of sites"]
    if not sites:
        return ["wordpress_sites: {}: must have at least one site"]
    problems: list[str] = []
    domains: dict[str, str] = {}
    for name, site in sites.items():
        place = f"wordpress_sites.{name}"
        if not isinstance(name, str) or not SITE_NAME.fullmatch(name):
            problems.append(f"wordpress_sites: {shown(name)}: a site's name is 1 to 16 of a-z and 0-9, a letter first")
            continue
        if not isinstance(site, Mapping):
            problems.append(f"{place}: {shown(site)}: must be a dict")
            continue
        by_type = option_problems(place, site, spec) if spec else []
        # A value of a wrong type has its line already.
        named = tuple(f"{problem.split(': ')[0]}: " for problem in by_type)
        problems += by_type + [problem for problem in one_site_problems(place, site) if not problem.startswith(named)]
        for key, domain in site_domains(site):
            if isinstance(domain, str) and domain in domains:
                problems.append(f"{place}.{key}: {shown(domain)}: already used by {domains[domain]}")
            elif isinstance(domain, str):
                domains[domain] = f"{place}.{key}"
    return problems + list(between_problems(sites))


def site_domains(site: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """List a site's domain and aliases with the key that each stands under."""
    if "domain" in site:
        yield "domain", site["domain"]
    aliases = site.get("aliases")
    if isinstance(aliases, list | tuple):
        for index, alias in enumerate(aliases):
            yield f"aliases[{index}]", alias


def one_site_problems(place: str, site: Mapping[str, Any]) -> list[str]:
    """Check what one site declares."""
    problems = [f"{place}.{key}: missing" for key in SITE_REQUIRED if key not in site]
    for key, domain in site_domains(site):
        problem = domain_problem(domain)
        if problem:
            problems.append(f"{place}.{key}: {shown(domain)}: {problem}")
    if "title" in site:
        problems += _title_problems(f"{place}.title", site["title"])
    problems += user_problems(place, site)
    if "theme" in site and not (isinstance(site["theme"], str) and re.fullmatch(SLUG, site["theme"])):
        problems.append(f"{place}.theme: {shown(site['theme'])}: must be a theme's directory name")
    problems += site_option_problems(f"{place}.options", site.get("options"))
    problems += site_package_problems(place, site)
    problems += multisite_problems(place, site)
    problems += privilege_problems(f"{place}.database_privileges", site.get("database_privileges"))
    for key in ("memory", "memory_limit", "upload_limit", "opcache_memory"):
        if key in site:
            problems += size_problems(f"{place}.{key}", site[key])
    prefix = site.get("table_prefix")
    if prefix is not None and not (isinstance(prefix, str) and TABLE_PREFIX.fullmatch(prefix)):
        problems.append(f"{place}.table_prefix: {shown(prefix)}: must be 1 to 20 letters, digits and underscores")
    tls = site.get("tls")
    if isinstance(tls, Mapping) and tls and set(tls) != {"certificate", "key"}:
        problems.append(f"{place}.tls: needs certificate and key, the paths of two files, and nothing else")
    return problems


def _title_problems(name: str, title: Any) -> list[str]:
    """Check a site's title: any text on one line, with something to see in it."""
    if not isinstance(title, str) or not title.strip():
        return [f"{name}: {shown(title)}: must be text that is not empty"]
    if re.search(r"[\x00-\x1f\x7f]", title):
        return [f"{name}: {shown(title)}: must not contain line breaks or other control characters"]
    return []


def user_problems(place: str, site: Mapping[str, Any]) -> list[str]:
    """Check a site's administrator and users: logins, addresses, roles, and that no two are the same."""
    administrator, users = site.get("administrator"), site.get("users")
    accounts: list[tuple[str, Any, Any, Any]] = []
    problems: list[str] = []
    if isinstance(administrator, Mapping):
        accounts.append((f"{place}.administrator", administrator.get("login"), administrator, "administrator"))
    elif "administrator" in site:
        problems.append(f"{place}.administrator: {shown(administrator)}: must be a dict with login and email")
    if isinstance(users, Mapping) and users:
        for login, user in users.items():
            if isinstance(user, Mapping):
                where = f"{place}.users.{login}"
                accounts.append((where, login, user, user.get("role")))
                problems += [f"{where}.{key}: unknown{nearest(str(key), ACCOUNT_KEYS)}" for key in unknown_keys(user)]
            else:
                problems.append(f"{place}.users.{login}: {shown(user)}: must be a dict with email and role")
    elif "users" in site:
        problems.append(f"{place}.users: {shown(users)}: needs at least one user beside the administrator")
    logins: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for where, login, account, role in accounts:
        problems += account_problems(where, login, account, role)
        name = account.get("display_name")
        if site.get("hide_logins", True) is True and isinstance(name, str) and name.casefold() == str(login).casefold():
            problems.append(
                f"{where}.display_name: {shown(name)}: is the login, which strangers are not to learn: choose "
                "another name, or declare hide_logins: false of the site"
            )
        for seen, key, value in ((logins, "login", login), (addresses, "email", account.get("email"))):
            folded = str(value).casefold()
            if value and folded in seen:
                problems.append(f"{where}: {key} {shown(value)}: already used by {seen[folded]}")
            seen.setdefault(folded, where)
    return problems


def unknown_keys(user: Mapping[Any, Any]) -> list[Any]:
    """Return the keys that mean nothing for a site's user."""
    return [key for key in user if key not in ACCOUNT_KEYS]


def account_problems(where: str, login: Any, account: Mapping[str, Any], role: Any) -> list[str]:
    """Check one WordPress account; whoever administers a site must not be found by guessing "admin"."""
    problems = []
    if not isinstance(login, str) or not LOGIN.fullmatch(login):
        problems.append(f"{where}: login {shown(login)}: must be 1 to 60 letters, digits and . _ - @")
    elif role == "administrator" and "admin" in login.casefold():
        problems.append(f'{where}: login {shown(login)}: an administrator\'s login must not contain "admin"')
    email = account.get("email")
    match = EMAIL.fullmatch(email) if isinstance(email, str) and len(email) <= 100 else None
    if not match or domain_problem(match["domain"].lower()):
        problems.append(f"{where}.email: {shown(email)}: must be an e-mail address")
    if role not in WORDPRESS_ROLES:
        problems.append(f"{where}.role: {shown(role)}: must be one of {', '.join(WORDPRESS_ROLES)}")
    # Nothing, as for any other field: left as it is.
    name = account.get("display_name")
    wrong = None if name is None else display_name_problem(name)
    return problems + ([f"{where}.display_name: {shown(name)}: {wrong}"] if wrong else [])


def site_place_problems(values: Mapping[str, Any]) -> list[str]:
    """Check what a site's name, and other variables with it, make: the names that it shares with the stack's own.

    Those are the names of containers, of users of the cache, of databases and their users, and of derived secrets. Also
    its time zone, of which the image's Debian decides what there is.
    """
    sites = values.get("wordpress_sites")
    problems: list[str] = []
    secrets: dict[str, str] = {}
    prefix = values.get("wordpress_database_prefix", "")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if not isinstance(name, str) or not SITE_NAME.fullmatch(name):
            continue
        place = f"wordpress_sites.{name}"
        if name in RESERVED_SITES:
            problems.append(f"{place}: {RESERVED_SITES[name]}: give the site another name")
        if isinstance(prefix, str) and f"{prefix}{name}".casefold() in RESERVED_DATABASES:
            problems.append(
                f"{place}: its database would be {prefix}{name}, which is the server's own: another name, or another "
                "wordpress_database_prefix"
            )
        if not isinstance(site, Mapping):
            continue
        for kind, secret in derived_secrets(name, site):
            if secret in secrets:
                problems.append(
                    f"{place}: {kind} would be derived as {secret}, like {secrets[secret]}: two with one password: "
                    "take another name for the site or the login"
                )
            secrets.setdefault(secret, f"{kind} of {name}")
        zone = site.get("timezone")
        wrong = None if zone is None else timezone_problem(zone, values.get("base_image_release"))
        if wrong:
            problems.append(f"{place}.timezone: {shown(zone)}: {wrong}")
    return problems


def derived_secrets(name: str, site: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what is derived for a site: what it is, and the name that it is derived by."""
    users, administrator = site.get("users"), site.get("administrator")
    logins = [login for login in users if isinstance(login, str)] if isinstance(users, Mapping) else []
    owner = administrator.get("login") if isinstance(administrator, Mapping) else None
    logins = list(dict.fromkeys([owner, *logins] if isinstance(owner, str) else logins))
    return [
        ("the database's password", f"database/{name}"),
        ("the cache's password", f"redis/{name}"),
        ("the password for FTP", f"ftp/{name}"),
        ("what signs the cookies", f"{name}/salts"),
        *((f"the password of {login}", f"{name}/{login}") for login in logins),
    ]


def site_secrets(sites: Any) -> dict[str, Any]:
    """Collect the passwords that sites give explicitly, by the name of the place where each stands."""
    secrets: dict[str, Any] = {}
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if not isinstance(site, Mapping):
            continue
        accounts: dict[str, Any] = {"administrator": site.get("administrator")}
        users = site.get("users")
        accounts |= {f"users.{login}": user for login, user in users.items()} if isinstance(users, Mapping) else {}
        for key, account in accounts.items():
            if isinstance(account, Mapping) and "password" in account:
                secrets[f"wordpress_sites.{name}.{key}.password"] = account["password"]
        if "ftp_password" in site:
            secrets[f"wordpress_sites.{name}.ftp_password"] = site["ftp_password"]
    return secrets


# --- Ports ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Port:
    """One published port: address to bind, number, protocol, and who publishes it.

    The engine binds ``::`` for IPv6 alone; a program that does takes IPv4 as well, unless it says otherwise (`both`).
    """

    address: str
    number: int
    protocol: str
    owner: str
    both: bool = False

    @property
    def versions(self) -> set[int]:
        """The versions of IP that it is bound for."""
        return {4, 6} if self.both or not self.address else {6 if ":" in self.address else 4}

    def meets(self, other: Port) -> bool:
        """Tell whether both cannot be bound at once."""
        everywhere = {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound
        return (
            (self.number, self.protocol) == (other.number, other.protocol)
            and bool(self.versions & other.versions)
            and (self.address == other.address or bool(everywhere & {self.address, other.address}))
        )


ENGINE_PROCESSES = ("", "dockerd", "docker-proxy")
"""Who listens for a container on the host; nobody where the process is not known."""


def listening_port(listener: Mapping[str, Any], engines: Iterable[Port]) -> Port:
    """Return the port that a socket of the target holds.

    :param engines: what the engine publishes. Where it has a port for all of IPv4, another program's ``::`` cannot.
    """
    address, process = str(listener["address"]), str(listener.get("process") or "")
    mapped = ipaddress.IPv6Address(address).ipv4_mapped if ":" in address else None
    held = Port(str(mapped or address), listener["port"], listener["protocol"], process, both=address == "::")
    alone = replace(held, both=False)
    if (
        held.both
        and process not in ENGINE_PROCESSES
        and any(held.meets(own) and not alone.meets(own) for own in engines)
    ):
        return alone
    return held


_PUBLISHED = re.compile(
    r"((?P<address>[0-9.]+|\[[0-9A-Fa-f:]+\]):)?(?P<first>[0-9]+)(-(?P<last>[0-9]+))?"
    r":[0-9]+(-[0-9]+)?(/(?P<protocol>tcp|udp))?"
)


def published_ports(containers: Iterable[Mapping[str, Any]]) -> tuple[list[Port], list[str]]:
    """Read the containers' ports in the engine's notation; return them and what could not be read."""
    ports: list[Port] = []
    problems: list[str] = []
    for container in containers:
        owner = str(container["name"])
        for text in container.get("ports") or []:
            match = _PUBLISHED.fullmatch(str(text))
            if not match:
                problems.append(f"{owner}: {shown(text)}: must be ADDRESS:PORT:PORT/PROTOCOL")
                continue
            first = int(match["first"])
            last = int(match["last"] or first)
            if not 1 <= first <= last <= 65535:
                problems.append(f"{owner}: {shown(text)}: ports go from 1 to 65535, the lower one first")
                continue
            address, protocol = (match["address"] or "").strip("[]").lower(), match["protocol"] or "tcp"
            ports += [Port(address, number, protocol, owner) for number in range(first, last + 1)]
    return ports, problems


def _meetings(ports: Sequence[Port], others: Sequence[Port]) -> Iterator[tuple[int, Port, list[tuple[Port, int]]]]:
    """Yield each port with its place, and those of the others that it cannot be bound beside, with theirs."""
    by_number: dict[tuple[int, str], list[tuple[Port, int]]] = {}
    for place, other in enumerate(others):
        by_number.setdefault((other.number, other.protocol), []).append((other, place))
    for place, port in enumerate(ports):
        near = by_number.get((port.number, port.protocol), [])
        yield place, port, [(other, at) for other, at in near if port.meets(other)]


def _crowded(found: Iterable[tuple[Port, str]]) -> list[str]:
    """Write a line for each row of neighbouring ports of which the same is wrong."""
    rows: list[tuple[int, int, str, str]] = []
    for port, wrong in sorted(found, key=lambda entry: (entry[1], entry[0].protocol, entry[0].number)):
        first, last, *kind = rows[-1] if rows else (0, -2, "", "")
        if kind == [port.protocol, wrong] and port.number <= last + 1:
            rows[-1] = (first, port.number, port.protocol, wrong)
        else:
            rows.append((port.number, port.number, port.protocol, wrong))
    return [
        f"port {first}/{protocol}: {wrong}" if first == last else f"ports {first} to {last}/{protocol}: {wrong}"
        for first, last, protocol, wrong in sorted(rows)
    ]


FIRST_LENT_PORT = 32768
"""First port that the kernel hands out by itself, where nobody has set another (ip-sysctl: ip_local_port_range)."""


def port_problems(
    containers: Iterable[Mapping[str, Any]],
    listeners: Iterable[Mapping[str, Any]],
    engine_containers: Iterable[Mapping[str, Any]],
    stack: str,
    sound: bool = True,
) -> list[str]:
    """Check that no port is published twice and that each is free, or ours already.

    :param listeners: what listens on the target: address, port, protocol, process (may be empty).
    :param engine_containers: what runs on the engine: name, stack (its label), ports (address, port, protocol).
    """
    wanted, unreadable = published_ports(containers)
    # A wrong variable behind one that cannot be read has its own line.
    problems = unreadable if sound else []
    problems += _crowded(
        (port, f"published twice, by {other.owner} and {port.owner}")
        for index, port, others in _meetings(wanted, wanted)
        for other, place in others
        if place < index
    )
    taken: list[Port] = []
    ours: list[Port] = []
    for container in engine_containers:
        held = [Port(p["address"], p["port"], p["protocol"], container["name"]) for p in container["ports"]]
        (ours if container["stack"] == stack else taken).extend(held)
    # A port that one of our containers publishes is listened on by the engine for it.
    engines: dict[int, list[Port]] = {}
    for port in (*ours, *taken):
        engines.setdefault(port.number, []).append(port)
    listening = [listening_port(listener, engines.get(listener["port"], [])) for listener in listeners]
    known = {index for index, _, others in _meetings(listening, [*ours, *taken]) if others}
    seen: list[Port] = []
    for port in (port for index, port in enumerate(listening) if index not in known):
        if not any(port.meets(other) for other in seen if other.number == port.number):
            seen.append(port)
    taken += seen
    for _, port, others in _meetings(wanted, taken):
        if others:
            holder = others[0][0]
            by = f" by {holder.owner}" if holder.owner else ""
            lent = f"; Linux gives ports from {FIRST_LENT_PORT} on to any program: choose a lower one"
            advice = lent if port.number >= FIRST_LENT_PORT else ""
            problems.append(f"port {port.number}/{port.protocol} ({port.owner}): already in use{by}{advice}")
    return list(dict.fromkeys(problems))


# --- Target and controller ------------------------------------------------------------------------------------------


def target_problems(host: Mapping[str, Any]) -> list[str]:
    """Check the target's distribution, architecture and Python."""
    problems = []
    name, version = str(host.get("distribution", "")), str(host.get("distribution_version", ""))
    releases = DISTRIBUTIONS.get(name, ())
    if not any(version == release or version.startswith(release + ".") for release in releases):
        supported = ", ".join(f"{system} {release}" for system, of in DISTRIBUTIONS.items() for release in of)
        problems.append(f"distribution: {name} {version}: must be one of {supported}")
    if host.get("architecture") not in ARCHITECTURES:
        supported = ", ".join(f"{debian} ({machine})" for machine, debian in ARCHITECTURES.items())
        problems.append(f"architecture: {host.get('architecture')}: must be one of {supported}")
    python = tuple(host.get("python_version", ()))[:2]
    if python < TARGET_PYTHON:
        problems.append(
            f"python on the target: {'.'.join(map(str, python))}: must be {'.'.join(map(str, TARGET_PYTHON))} or newer"
        )
    if not host.get("root_path", True):
        problems.append(
            "PATH of root on the target: lacks /usr/sbin and /sbin, without which no package can be installed: with"
            " ansible_become_method su, set ansible_become_flags to --login"
        )
    return problems


def library_problems(libraries: Mapping[str, str], host: Mapping[str, Any]) -> list[str]:
    """Check that the roles can install what the target's Python lacks.

    :param libraries: name of a module that a role imports on the target to its package.
    """
    missing, python = host["missing_libraries"], host["python"]
    if not missing or python["packaged"]:
        return []
    packages = ", ".join(libraries[name] for name in missing)
    problem = (
        f"python on the target: {python['path']}: does not find {', '.join(missing)}, and the distribution's packages"
        f" ({packages}) would be for /usr/bin/python3 alone: set ansible_python_interpreter to that for this host, or"
        " install the libraries there"
    )
    return [problem]


def controller_problems(python: Sequence[int]) -> list[str]:
    """Check the Python that runs Ansible."""
    if tuple(python[:2]) >= CONTROLLER_PYTHON:
        return []
    wanted = ".".join(map(str, CONTROLLER_PYTHON))
    return [f"python that runs Ansible: {'.'.join(map(str, python[:2]))}: must be {wanted} or newer"]


def gigabytes(size: float) -> str:
    """Write bytes for a message."""
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{size / 1024**2:.0f} MiB"


def resource_problems(host: Mapping[str, Any], disk_min: Any, memory_min: Any, running: bool = False) -> list[str]:
    """Check memory, free disk space, and that the disks can be written.

    :param running: whether the stack's containers exist: then a part of the disk space is enough, and a disk that
        fills up must not keep an operator from changing the variables that made it do so.
    """
    problems = []
    wanted = size_of(memory_min)
    if wanted and host["memory"] < wanted:
        problems.append(f"memory: {gigabytes(host['memory'])}: preflight_memory_min asks for {gigabytes(wanted)}")
    wanted = size_of(disk_min)
    if wanted and running:
        wanted //= RUNNING_DISK_PART
    seen: set[Any] = set()
    for path, disk in host.get("disks", {}).items():
        if disk["read_only"]:
            problems.append(f"disk below {path}: mounted read-only")
        elif wanted and disk["free"] < wanted and disk["device"] not in seen:
            problems.append(
                f"disk below {path}: {gigabytes(disk['free'])} free: preflight_disk_min asks for {gigabytes(wanted)}"
            )
        seen.add(disk["device"])
    return problems


def address_pools(pools: Iterable[Mapping[str, Any]]) -> list[tuple[ipaddress.IPv4Network, int]]:
    """Read address pools, in the words of the engine's file or of its answers: their ranges, and their networks' size.

    What is none, and what is not IPv4, is left out: the engine refuses it, or does not use it here.
    """
    found = []
    for pool in pools:
        words = {str(name).lower(): value for name, value in pool.items()} if isinstance(pool, Mapping) else {}
        try:
            base, size = ipaddress.IPv4Network(words.get("base", ""), strict=False), int(words.get("size", 0))
        except (TypeError, ValueError):
            continue
        if base.prefixlen <= size <= base.max_prefixlen:
            found.append((base, size))
    return found


def free_networks(
    pools: Iterable[tuple[ipaddress.IPv4Network, int]], taken: Sequence[ipaddress.IPv4Network], wanted: int
) -> int:
    """Count the networks that fit into address pools beside those that are taken, up to a number that is wanted."""
    free = 0
    for base, size in pools:
        near = [network for network in taken if network.overlaps(base)]
        if any(base.subnet_of(network) for network in near):
            continue
        for subnet in base.subnets(new_prefix=size):
            if free >= wanted:
                return free
            free += not any(subnet.overlaps(network) for network in near)
    return min(free, wanted)


def routes_in_the_way(host: Mapping[str, Any]) -> list[str]:
    """List the host's routes that keep the engine from an address.

    Since version 23 those to networks that the host itself is on; before, all but the default route, such as those of a
    VPN that takes everything by two halves.
    """
    major = str(host["engine_version"]).partition(".")[0]
    # The version that the engine's package has in Debian 12 is 20.10.
    before = (host["distribution"], str(host["distribution_version"]).partition(".")[0]) == ("Debian", "12")
    all_count = int(major) < ALL_ROUTES_BEFORE if major.isdigit() else before
    return [route["network"] for route in host["routes"] if all_count or route["link"]]


def network_problems(
    containers: Iterable[Mapping[str, Any]],
    host: Mapping[str, Any],
    stack: str,
    pools: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """Check that the engine has addresses for the networks that are to be made.

    :param host: ``networks`` (the engine's: name to ranges), ``routes`` (the host's), whether its ``engine`` answers.
    :param pools: the engine's ``default-address-pools``; empty for those that are built into it.
    """
    wanted = {f"{stack}-{network}" for container in containers for network in container.get("networks") or []}
    missing = len(wanted - set(host["networks"]))
    # An engine that is yet to be started makes a network of its own.
    needed = missing + (0 if host["engine"] else 1)
    ranges = address_pools(pools or BUILT_IN_POOLS)
    if not missing or not ranges:
        return []

    def read(texts: Iterable[str]) -> list[ipaddress.IPv4Network]:
        return [ipaddress.IPv4Network(text, strict=False) for text in texts if ":" not in text]

    own = read(subnet for subnets in host["networks"].values() for subnet in subnets)
    routes = [route for route in read(routes_in_the_way(host)) if route not in own]
    free = free_networks(ranges, own + routes, needed)
    if free >= needed:
        return []
    in_the_way = sorted({str(route) for route in routes if any(route.overlaps(base) for base, _ in ranges)})
    blocked = f", with routes of the host in the way: {', '.join(in_the_way)}" if in_the_way else ""
    written = ", ".join(f"{base} in parts of /{size}" for base, size in ranges)
    problem = (
        f"networks: {needed} to be made: the engine's address pools ({written}) have room for {free}{blocked}: declare "
        "other default-address-pools, in docker_daemon_options where the docker role manages the engine "
        "(docker_manage), else in its /etc/docker/daemon.json, and restart it"
    )
    return [problem]


def limit_problems(containers: Iterable[Mapping[str, Any]], memory: int) -> list[str]:
    """Check that no container may use more memory than the target has: such a limit protects nobody.

    Together they may: limits are ceilings, which containers do not reach all at once.
    """
    return [
        f"memory limit of {container['name']}: {gigabytes(limit)}: the target has {gigabytes(memory)}"
        for container in containers
        if (limit := size_of(container.get("memory")) or 0) > memory
    ]


def need_problems(containers: Iterable[Mapping[str, Any]], memory: int) -> list[str]:
    """Check that the target's memory holds what the system and the containers work with in the long run.

    Swap does not count, for no container may use any.

    :param containers: with ``memory_needed``; one without it counts for nothing but its share of the engine.
    """
    needs = {str(c["name"]): size_of(c.get("memory_needed")) or 0 for c in containers}
    system = SYSTEM_BYTES + CONTAINER_BYTES * len(needs)
    total = system + sum(needs.values())
    if total <= memory:
        return []
    largest = sorted({**needs, "system and engine": system}.items(), key=lambda need: (-need[1], need[0]))
    named, rest = largest[:NEEDS_NAMED], largest[NEEDS_NAMED:]
    parts = [f"{name} {gigabytes(need)}" for name, need in named]
    parts += [f"{len(rest)} more {gigabytes(sum(need for _, need in rest))}"] if rest else []
    problem = (
        f"memory: {gigabytes(memory)}: the stack needs {gigabytes(total)} ({', '.join(parts)}): take a larger machine, "
        "fewer sites or services, or smaller caches (mariadb_memory, redis_memory)"
    )
    return [problem]


def buffer_problems(values: Mapping[str, Any]) -> list[str]:
    """Check that MariaDB's buffer pool leaves its container room for connections and the server itself."""
    pool, limit = size_of(values.get("mariadb_buffer_pool")), size_of(values.get("mariadb_memory"))
    if pool and limit and pool > limit * 0.8:
        pool_text, limit_text = shown(values["mariadb_buffer_pool"]), values["mariadb_memory"]
        return [f"mariadb_buffer_pool: {pool_text}: must be at most 80 % of mariadb_memory ({limit_text})"]
    return []


def database_problems(values: Mapping[str, Any]) -> list[str]:
    """Check what every database's user may do, and that the operator's directives leave the role its own."""
    problems = privilege_problems("mariadb_privileges", values.get("mariadb_privileges"), needed=True)
    found = OWN_DIRECTIVE.search(str(values.get("mariadb_extra_config") or ""))
    if found:
        problems.append(
            f"mariadb_extra_config: {shown(found['name'])}: is the role's own, for with it the server writes down what "
            "a run compares: take the line out"
        )
    return problems


def declared_site_memory(site: Mapping[str, Any], values: Mapping[str, Any]) -> int | None:
    """Return the bytes that a site's container may use."""
    names = ("wordpress_memory", "wordpress_workers", "wordpress_memory_limit")
    return size_of(site_memory(site, *(values.get(name) for name in names)))


def worker_problems(values: Mapping[str, Any]) -> list[str]:
    """Check for every site that its PHP workers, each using its whole memory limit, fit into the container."""
    problems = []
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        declared = site if isinstance(site, Mapping) else {}
        workers = coerced(declared.get("workers", values.get("wordpress_workers")), "int")
        each = size_of(declared.get("memory_limit", values.get("wordpress_memory_limit")))
        limit = declared_site_memory(declared, values)
        if isinstance(workers, int) and not isinstance(workers, bool) and each and limit and workers * each > limit:
            problems.append(
                f"wordpress_sites.{name}: {workers} workers of {gigabytes(each)} (memory_limit) need "
                f"{gigabytes(workers * each)}: the container's memory is {gigabytes(limit)}"
            )
    return problems


def sizing_problems(values: Mapping[str, Any]) -> list[str]:
    """Check which machine the memory limits are made for."""
    sizing = values.get("stack_sizing", AUTO)
    if sizing == AUTO or not isinstance(sizing, str | int):
        return []
    size = size_of(sizing)
    if size is None:
        return [f"stack_sizing: {shown(sizing)}: must be {AUTO}, or the memory of a machine such as 2g"]
    return [f"stack_sizing: {shown(sizing)}: must be at least 512m"] if size < SMALLEST_MACHINE else []


def build_warnings(networks: Iterable[Mapping[str, Any]], mtu: int) -> list[str]:
    """Say that builds may hang: on an engine of somebody else's, whose network lets more pass than the way outside.

    Most machines on the way tell who sends too much; where one does not, an answer that is too large never comes, and
    the download waits for ever. So it is no refusal.

    :param networks: the engine's.
    :param mtu: bytes that the machine's way outside takes at once; 0 where nobody knows.
    """
    bridge = next((network for network in networks if network.get("Name") == BUILD_NETWORK), None)
    if bridge is None or not mtu:
        return []
    own = int((bridge.get("Options") or {}).get(MTU_OPTION) or ETHERNET_MTU)
    if own <= mtu:
        return []
    warning = (
        f"the engine builds images on a network with packets of {own} bytes; the machine's way outside takes {mtu}."
        f' If a build hangs, set "mtu": {mtu} in /etc/docker/daemon.json and restart the engine, or set docker_manage'
        " to always."
    )
    return [warning]


def mtu_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the size of packets on the networks: no link that carries the web has less than IPv6 asks for."""
    mtu = coerced(values.get("stack_network_mtu", 0), "int")
    if not isinstance(mtu, int) or isinstance(mtu, bool) or mtu == 0 or SMALLEST_MTU <= mtu <= LARGEST_MTU:
        return []
    return [f"stack_network_mtu: {mtu}: must be from {SMALLEST_MTU} to {LARGEST_MTU}, or 0 for what the machine takes"]


def ipv6_value_problems(values: Mapping[str, Any]) -> list[str]:
    """Check whether the stack shall have IPv6, and its networks' range."""
    problems = []
    try:
        wanted(values.get("stack_ipv6", AUTO))
    except AnsibleFilterError as error:
        problems.append(f"stack_ipv6: {shown(values['stack_ipv6'])}: {error.message}")
    prefix = values.get("stack_ipv6_prefix")
    if prefix not in (None, "") and (rule := prefix_problem(prefix)):
        problems.append(f"stack_ipv6_prefix: {shown(prefix)}: {rule}")
    return problems


def ipv6_problems(declared: Declared, host: Mapping[str, Any]) -> list[str]:
    """Check that the target has what was declared about IPv6: the stack's own, and addresses to publish on."""
    values, stack = declared.values, str(declared.values.get("stack_name", ""))
    if ipv6_value_problems(values):
        return []
    if declared.ipv6:
        networks = values.get("container_ipv6_networks")
        return range_problems(networks if isinstance(networks, Mapping) else {}, host, stack)
    wish = wanted(values.get("stack_ipv6", AUTO))
    reason = "; ".join(declared.ipv6_lacking)
    if wish and reason:
        return [f"stack_ipv6: true: {reason}"]
    reason = reason or (
        "stack_ipv6 is false" if wish is False else "all sites are called localhost: set stack_ipv6 to true"
    )
    return [
        f"{name}: {shown(value)}: the stack has no IPv6: {reason}"
        for name, value in sorted(values.items())
        if name.endswith("_bind_address")
        and not bind_address_problem(value)
        and any(":" in address for address in bind_addresses(value))
    ]


def upload_problems(values: Mapping[str, Any]) -> list[str]:
    """Check that the web server has room for the largest upload, and memory besides."""
    memory = size_of(values.get("nginx_memory"))
    declared = values.get("nginx_temporary_size")
    room = size_of(declared) if declared else memory and memory // 2
    if not memory or not room:
        return []
    room_text = f"{gigabytes(room)}{'' if declared else ', half of nginx_memory'}"
    problems = []
    if room > memory - WEB_SERVER_BYTES:
        problems.append(
            f"nginx_temporary_size: {room_text}: must leave {gigabytes(WEB_SERVER_BYTES)} of nginx_memory "
            f"({gigabytes(memory)})"
        )
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        own = site.get("upload_limit") if isinstance(site, Mapping) else None
        upload = size_of(own or values.get("wordpress_upload_limit"))
        if upload and upload > room:
            problems.append(
                f"wordpress_sites.{name}: upload_limit is {gigabytes(upload)}: must be at most nginx_temporary_size "
                f"({room_text})"
            )
    return problems


def ftp_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the FTP server's passive address and range, and that its sessions fit into both range and memory."""
    names = ("first_port", "last_port")
    first, last = (coerced(values.get(f"ftp_passive_{name}"), "int") for name in names)
    clients = coerced(values.get("ftp_clients"), "int")
    problems = [
        f"{name}: {shown(values[name])}: must be at least 1"
        for name in ("ftp_clients", "ftp_clients_per_address", "ftp_login_failures", "ftp_ban_minutes")
        if isinstance(number := coerced(values.get(name), "int"), int) and number < 1
    ]
    address = values.get("ftp_passive_address") or ""
    if address and not usable_address(address):
        problems.append(f"ftp_passive_address: {shown(address)}: must be an IPv4 address that clients can reach")
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        password = str(site.get("ftp_password", "")) if isinstance(site, Mapping) else ""
        if len(password.encode(errors="replace")) > LONGEST_FTP_PASSWORD:
            problems.append(f"wordpress_sites.{name}.ftp_password: must have at most {LONGEST_FTP_PASSWORD} bytes")
    if not all(isinstance(number, int) for number in (first, last, clients)):
        return problems
    if first > last:
        problems.append(f"ftp_passive_last_port: {last}: must not be less than ftp_passive_first_port ({first})")
    elif last - first + 1 < clients:
        problems.append(
            f"ftp_passive_last_port: {last}: {last - first + 1} ports from ftp_passive_first_port ({first}) on are "
            f"fewer than ftp_clients ({clients})"
        )
    memory = size_of(values.get("ftp_memory"))
    if memory and clients * FTP_SESSION_BYTES > memory:
        problems.append(
            f"ftp_clients: {clients}: so many sessions may need {gigabytes(clients * FTP_SESSION_BYTES)}: "
            f"ftp_memory is {gigabytes(memory)}"
        )
    return problems


def redis_problems(values: Mapping[str, Any]) -> list[str]:
    """Check that what the cache holds fits into its container, its users' rights, and who uses it."""
    problems = []
    held, limit = size_of(values.get("redis_maxmemory") or None), size_of(values.get("redis_memory"))
    if limit and limit < SMALLEST_REDIS:
        problems.append(f"redis_memory: {shown(values['redis_memory'])}: must be at least {gigabytes(SMALLEST_REDIS)}")
    elif held and limit and held > limit * 0.85:
        problems.append(
            f"redis_maxmemory: {shown(values['redis_maxmemory'])}: must be at most 85 % of redis_memory "
            f"({values['redis_memory']}), for the server itself needs some"
        )
    elif held and held < SMALLEST_REDIS / 4:
        problems.append(
            f"redis_maxmemory: {shown(values['redis_maxmemory'])}: must be at least {gigabytes(SMALLEST_REDIS / 4)}"
        )
    for name in ("redis_commands", "redis_extended_commands"):
        commands = values.get(name)
        for command in commands if isinstance(commands, list) else ():
            word = str(command).lower().partition("|")[0]
            if not REDIS_COMMAND.fullmatch(str(command)):
                problems.append(f"{name}: {shown(command)}: must be the name of a command, such as get or client|id")
            elif word in REDIS_FORBIDDEN:
                problems.append(f"{name}: {shown(command)}: would let a site leave its own keys")
    clients = coerced(values.get("redis_max_clients"), "int")
    if isinstance(clients, int) and not isinstance(clients, bool):
        needed = SPARE_CLIENTS + sum(site_workers(values))
        if clients < needed:
            problems.append(
                f"redis_max_clients: {clients}: must be at least {needed}, for the sites' PHP workers and some besides"
            )
    return problems


def site_workers(values: Mapping[str, Any]) -> list[int]:
    """Return the number of PHP workers of each site, of those that are declared well."""
    sites = values.get("wordpress_sites")
    declared = [site for site in sites.values() if isinstance(site, Mapping)] if isinstance(sites, Mapping) else []
    workers = [coerced(site.get("workers", values.get("wordpress_workers")), "int") for site in declared]
    return [number for number in workers if isinstance(number, int) and not isinstance(number, bool)]


def cache_problems(values: Mapping[str, Any]) -> list[str]:
    """Check that no site asks for the object cache of a server that is switched off."""
    sites = values.get("wordpress_sites")
    if coerced(values.get("stack_redis"), "bool") is not False or not isinstance(sites, Mapping):
        return []
    return [
        f"wordpress_sites.{name}.object_cache: {shown(site['object_cache'])}: stack_redis is false"
        for name, site in sites.items()
        if isinstance(site, Mapping) and site.get("object_cache") in ("builtin", "plugin")
    ]


def adminer_problems(values: Mapping[str, Any]) -> list[str]:
    """Check that Adminer's processes and uploads fit into its memory, and an import into a process."""
    workers = coerced(values.get("adminer_workers"), "int")
    each, upload = size_of(values.get("adminer_memory_limit")), size_of(values.get("adminer_upload_limit"))
    memory = size_of(values.get("adminer_memory"))
    if not (isinstance(workers, int) and each and upload and memory):
        return []
    problems = []
    if 3 * upload > each:
        problems.append(
            f"adminer_upload_limit: {shown(values['adminer_upload_limit'])}: importing it needs three times as much: "
            f"adminer_memory_limit is {gigabytes(each)}"
        )
    needed = workers * each + 2 * upload
    if needed > memory:
        problems.append(
            f"adminer_memory: {shown(values['adminer_memory'])}: {workers} workers of {gigabytes(each)} "
            f"(adminer_memory_limit) and two uploads need {gigabytes(needed)}"
        )
    return problems


WAITS = {
    "stack_patience": (100, "float"),
    "container_health_interval": (3600, "int"),
    "container_health_timeout": (3600, "int"),
    "container_healthy_timeout": (86400, "int"),
}
"""Variables that say how long something is waited for: the most that each may be, and its type."""


def waiting_problems(values: Mapping[str, Any]) -> list[str]:
    """Check what health checks and runs are given: with no time at all every container would be unhealthy at once."""
    problems = []
    for name, (most, kind) in WAITS.items():
        number = coerced(values.get(name), kind)
        if isinstance(number, int | float) and not isinstance(number, bool) and not 1 <= number <= most:
            problems.append(f"{name}: {shown(values[name])}: must be 1 to {most}")
    return problems


def rate_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the rates in nginx's notation, and how many requests may go beyond them."""
    problems = []
    for name, value in sorted(values.items()):
        if re.fullmatch(r"nginx_[a-z]+_rate", name) and not (isinstance(value, str) and RATE.fullmatch(value)):
            problems.append(f"{name}: {shown(value)}: must be a rate such as 10r/m or 2r/s")
        if re.fullmatch(r"nginx_[a-z]+_burst", name):
            number = coerced(value, "int")
            if isinstance(number, int) and not isinstance(number, bool) and number < 0:
                problems.append(f"{name}: {shown(value)}: must be at least 0")
    return problems


def usable_address(value: Any) -> bool:
    """Tell whether a client can be told to connect to this address."""
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return not (address.is_unspecified or address.is_multicast)


def source_problems(values: Mapping[str, Any]) -> list[str]:
    """Check where WordPress, plugins and themes come from."""
    problems = []
    version, sha256 = values.get("wordpress_release_version"), values.get("wordpress_release_sha256")
    if values.get("wordpress_source") == "release":
        if not (isinstance(version, str) and RELEASE_VERSION.fullmatch(version)):
            problems.append(
                f"wordpress_release_version: {shown(version)}: must be a version such as 6.9.1 when wordpress_source "
                "is release"
            )
        if not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
            problems.append(
                f"wordpress_release_sha256: {shown(sha256)}: must be 64 hexadecimal digits in lower case when "
                "wordpress_source is release"
            )
    problems += [
        f"{name}: {shown(value)}: must be an address that begins with https:// or http://"
        for name in ("wordpress_release_url", "wordpress_directory_url")
        if (value := values.get(name)) and not (isinstance(value, str) and re.fullmatch(WEB_ADDRESS, value))
    ]
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if coerced(values.get("wordpress_outbound"), "bool") is False and isinstance(site, Mapping):
            place = f"wordpress_sites.{name}"
            alone = site_package_problems(place, site)
            problems += [p for p in site_package_problems(place, site, outbound=False) if p not in alone]
    return problems


def cadvisor_problems(values: Mapping[str, Any]) -> list[str]:
    """Check where cAdvisor comes from; how it is reached is a rule of all services behind the web server."""
    problems = []
    url, sha256 = (values.get(f"cadvisor_release_{name}") or "" for name in ("url", "sha256"))
    released = values.get("cadvisor_source") == "release"
    if (url or released) and not (isinstance(url, str) and re.fullmatch(WEB_ADDRESS, url)):
        problems.append(f"cadvisor_release_url: {shown(url)}: must be an address that begins with https:// or http://")
    if (sha256 or url or released) and not (isinstance(sha256, str) and re.fullmatch(r"[0-9a-f]{64}", sha256)):
        problems.append(
            f"cadvisor_release_sha256: {shown(sha256)}: must be 64 hexadecimal digits in lower case: those of the file "
            "at cadvisor_release_url"
        )
    proxies = values.get("cadvisor_go_proxy")
    if proxies and isinstance(proxies, str):
        wrong = [
            p for p in re.split(r"[,|]", proxies) if p not in {"direct", "off"} and not re.fullmatch(WEB_ADDRESS, p)
        ]
        if wrong:
            problems.append(
                f"cadvisor_go_proxy: {shown(wrong[0])}: must be addresses, with commas, such as Go's GOPROXY"
            )
    sources = values.get("cadvisor_debian_sources")
    problems += [
        f"cadvisor_debian_sources: {shown(line)}: must be a line such as deb http://example.org/debian bullseye main"
        for line in (sources if isinstance(sources, list) else ())
        if isinstance(line, str) and not re.fullmatch(APT_SOURCE, line)
    ]
    return problems


def mail_problems(values: Mapping[str, Any]) -> list[str]:
    """Check the relays for the sites' mail: the common one, and those of single sites."""
    outbound = coerced(values.get("wordpress_outbound", True), "bool") is not False
    problems = list(smtp_problems("wordpress_smtp", values.get("wordpress_smtp"), outbound))
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        if isinstance(site, Mapping):
            problems += smtp_problems(f"wordpress_sites.{name}.smtp", site.get("smtp"), outbound)
    return problems


def opcode_problems(values: Mapping[str, Any]) -> list[str]:
    """Check for every site that compiled PHP files have room: PHP's least, and no more than half of the container."""
    problems = []
    sites = values.get("wordpress_sites")
    for name, site in sites.items() if isinstance(sites, Mapping) else ():
        declared = site if isinstance(site, Mapping) else {}
        cache = size_of(declared.get("opcache_memory", values.get("wordpress_opcache_memory")))
        limit = declared_site_memory(declared, values)
        if cache and cache < SMALLEST_OPCODE_CACHE:
            problems.append(
                f"wordpress_sites.{name}: opcache_memory is {gigabytes(cache)}: PHP needs "
                f"{gigabytes(SMALLEST_OPCODE_CACHE)}"
            )
        if cache and limit and cache > limit / 2:
            problems.append(
                f"wordpress_sites.{name}: opcache_memory is {gigabytes(cache)}: must be at most half of the "
                f"container's memory ({gigabytes(limit)})"
            )
    return problems


def drift_timer_problems(values: Mapping[str, Any]) -> list[str]:
    """Check what the drift_timer role writes into units of systemd, where spaces, quotes, % and $ have meanings.

    Also a filter, for the role: its command does not run the preflight.

    :param values: variables by name. One that is missing, or of a wrong type (which has a line already), has no rule.
    """
    problems = [
        f"{name}: {shown(values[name])}: {rule}"
        for name, (pattern, rule) in DRIFT_TIMER_RULES.items()
        if isinstance(values.get(name), str) and not pattern.fullmatch(values[name])
    ]
    if isinstance(values.get("drift_timer_directory"), str):
        problems += path_problems("drift_timer_directory", values["drift_timer_directory"])
    arguments = values.get("drift_timer_arguments")
    for position, argument in enumerate(arguments if isinstance(arguments, list | tuple) else ()):
        if not isinstance(argument, str) or not PLAIN_ARGUMENT.fullmatch(argument):
            place = f"drift_timer_arguments[{position}]"
            problems.append(f"{place}: {shown(argument)}: may contain letters, digits and . _ - / : = @ , + only")
    return problems


# --- All together ---------------------------------------------------------------------------------------------------


def declared_problems(declared: Declared) -> list[str]:
    """Apply every rule that needs no look at the target."""
    values = declared.values
    problems = variable_name_problems(declared.names, [*declared.specs, *declared.known], declared.prefixes)
    by_name = {
        name: value_problems(name, values[name], specification)
        for name, specification in declared.specs.items()
        if name in values
    }
    chosen = [problem for name, found in by_name.items() if name not in declared.wired for problem in found]
    # A variable that is wired from a wrong one is as wrong: the cause's line is enough.
    problems += chosen or [problem for found in by_name.values() for problem in found]
    if "stack_name" in values:
        problems += stack_name_problems(values["stack_name"])
    secrets = {
        name: values[name]
        for name, specification in declared.specs.items()
        if is_secret(specification)
        and name in values
        and name != "stack_installation_key"
        and specification.get("type", "str") == "str"
        # Empty by default means that the secret is derived.
        and not (values[name] in ("", None) and specification.get("default", "") in ("", None))
    }
    if "wordpress_sites" in values and not by_name.get("wordpress_sites"):
        problems += site_problems(values["wordpress_sites"], declared.site_spec)
        secrets |= site_secrets(values["wordpress_sites"])
    problems += secret_problems(secrets)
    # What a variable's own rule says is not said again.
    said = tuple(f"{problem.split(': ')[0]}: " for problem in problems)
    problems += [problem for problem in _further_problems(declared) if not problem.startswith(said)]
    return problems


def _further_problems(declared: Declared) -> list[str]:
    """Apply the rules of single variables, and of what belongs together."""
    values = declared.values
    problems = ftp_problems(values) + source_problems(values) + cache_problems(values)
    problems += redis_problems(values) if coerced(values.get("stack_redis"), "bool") is not False else []
    problems += adminer_problems(values) + rate_problems(values) + waiting_problems(values)
    problems += route_problems(values, domain_problem, wired="nginx_services" in declared.wired)
    problems += site_header_problems(values)
    problems += cadvisor_problems(values)
    problems += mail_problems(values) + opcode_problems(values) + drift_timer_problems(values)
    problems += sizing_problems(values) + upload_problems(values) + mtu_problems(values) + ipv6_value_problems(values)
    needed = declared.specs.get("base_image_users", {}).get("default") or {}
    problems += users_problems(values.get("base_image_users"), needed)
    problems += version_problems(values)
    problems += between_values_problems(values) + site_place_problems(values)
    for name in ("certificates_authority_directory", "nginx_content_directory"):
        if isinstance(values.get(name), str):
            problems += path_problems(name, values[name])
    return problems + buffer_problems(values) + database_problems(values) + worker_problems(values)


def host_problems(declared: Declared, host: Mapping[str, Any]) -> list[str]:
    """Apply every rule that compares what is declared with the target."""
    values = declared.values
    stack = str(values.get("stack_name", ""))
    running = any(container["stack"] == stack for container in host["containers"])
    problems = target_problems(host)
    if "stack_data_dir" in values:
        problems += path_problems("stack_data_dir", values["stack_data_dir"], host.get("real_data_dir"))
    problems += other_stack_problems(values.get("stack_data_dir"), host.get("real_data_dir"), host.get("stacks") or {})
    # Of two containers of one name the second one would replace the first.
    names = [str(container["name"]) for container in declared.containers]
    problems += [
        f"containers: two would be called {stack}-{name}: give the site, or the tool, another name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    problems += resource_problems(
        host, values.get("preflight_disk_min"), values.get("preflight_memory_min"), running=running
    )
    problems += port_problems(declared.containers, host["listeners"], host["containers"], stack, declared.sound)
    problems += limit_problems(declared.containers, host["memory"])
    problems += need_problems(declared.containers, host["memory"]) + ipv6_problems(declared, host)
    return problems + network_problems(declared.containers, host, stack, declared.address_pools)


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {
            "secret_problem": secret_problem,
            "domain_problem": domain_problem,
            "drift_timer_problems": drift_timer_problems,
        }
