# SPDX-License-Identifier: MIT
"""What an operator declares of the sites' PHP: constants, settings, extensions, functions that are switched off.

Each has a variable for all sites and a field of a site. The rules are here as well: what the stack itself sets is
refused by its name, with what to set instead, for two sources of one value would hide each other.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.formats import bytes_from_size, php_literal
from filter_plugins.sizing import site_memory
from filter_plugins.values import CONTROL, shown

MIB = 1024 * 1024

# --- Constants ------------------------------------------------------------------------------------------------------

_CONSTANT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PATHS = "the image, whose places are fixed: take it out"
_FILES = "the stack, whose files belong to PHP's user: take it out"
_REQUEST = "WordPress itself, for one request: take it out"
_SECRET = "the installation key: raise <site>/salts in wordpress_secret_versions, and take this out"  # noqa: S105
_NETWORK = "the site's multisite: set that, and take this out"
_CRON = "the stack's scheduler, whose pace is wordpress_cron_interval: take this out"
_CACHE = "the site's object_cache (plugin sets it): take this out"
OWN_CONSTANTS: dict[str, str] = {
    **dict.fromkeys(
        ("ABSPATH", "WPINC", "WP_CONTENT_DIR", "WP_CONTENT_URL", "WP_LANG_DIR", "WP_TEMP_DIR", "WPMU_PLUGIN_DIR",
         "WPMU_PLUGIN_URL", "MUPLUGINDIR", "WP_PLUGIN_DIR", "WP_PLUGIN_URL", "PLUGINDIR", "UPLOADS"), _PATHS,
    ),
    **dict.fromkeys(("FS_METHOD", "FS_CHMOD_DIR", "FS_CHMOD_FILE"), _FILES),
    **dict.fromkeys(
        ("DB_HOST", "DB_NAME", "DB_USER", "DB_PASSWORD", "DB_CHARSET", "DB_COLLATE", "CUSTOM_USER_TABLE",
         "CUSTOM_USER_META_TABLE"), "the site's own database: take it out",
    ),
    **dict.fromkeys(("WP_HOME", "WP_SITEURL", "FORCE_SSL_ADMIN"), "the site's domain: set that, and take this out"),
    **dict.fromkeys(("WP_MEMORY_LIMIT", "WP_MAX_MEMORY_LIMIT"), "memory_limit: set that, and take this out"),
    "WP_DEBUG": "debug: set that, and take this out",
    **dict.fromkeys(
        ("WP_DEBUG_DISPLAY", "WP_DEBUG_LOG"), "the stack: what debug shows is in the container's log; take this out",
    ),
    **dict.fromkeys(
        (f"{name}_{kind}" for name in ("AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE") for kind in ("KEY", "SALT")),
        _SECRET,
    ),
    "SECRET_KEY": _SECRET, "SECRET_SALT": _SECRET,
    **dict.fromkeys(
        ("MULTISITE", "SUBDOMAIN_INSTALL", "DOMAIN_CURRENT_SITE", "PATH_CURRENT_SITE", "SITE_ID_CURRENT_SITE",
         "BLOG_ID_CURRENT_SITE", "WP_ALLOW_MULTISITE", "VHOST"), _NETWORK,
    ),
    **dict.fromkeys(("DISABLE_WP_CRON", "ALTERNATE_WP_CRON"), _CRON),
    "WP_AUTO_UPDATE_CORE": "the image, which is core's update: take it out",
    "DISALLOW_FILE_EDIT": "the stack, which lets nobody edit code in the dashboard: take it out",
    "WP_HTTP_BLOCK_EXTERNAL": "wordpress_outbound: set that, and take this out",
    "WP_DEFAULT_THEME": "the site's theme: set that, and take this out",
    "WPLANG": "the site's locale: set that, and take this out",
    **dict.fromkeys(
        ("WP_REDIS_HOST", "WP_REDIS_PORT", "WP_REDIS_PASSWORD", "WP_REDIS_PREFIX", "WP_REDIS_TIMEOUT",
         "WP_REDIS_READ_TIMEOUT", "WP_REDIS_SELECTIVE_FLUSH", "WP_REDIS_GRACEFUL"), _CACHE,
    ),
    **dict.fromkeys(
        ("DOING_AJAX", "DOING_AUTOSAVE", "DOING_CRON", "IFRAME_REQUEST", "REST_REQUEST", "SHORTINIT", "WP_ADMIN",
         "WP_BLOG_ADMIN", "WP_CLI", "WP_IMPORTING", "WP_INSTALLING", "WP_INSTALLING_NETWORK", "WP_LOAD_IMPORTERS",
         "WP_NETWORK_ADMIN", "WP_REPAIRING", "WP_SANDBOX_SCRAPING", "WP_SETUP_CONFIG", "WP_UNINSTALL_PLUGIN",
         "WP_USER_ADMIN", "WP_USE_THEMES", "XMLRPC_REQUEST"), _REQUEST,
    ),
}  # fmt: skip
"""Constants that the stack or WordPress itself defines, with who does."""

_PHPS_CONSTANT = re.compile(
    r"(PHP|E|M|LC|LOCK|SORT|COUNT|ENT|FILE|PATHINFO|INI|JSON|CURLOPT|MYSQLI|PREG|T|LIBXML|XML|IMG|ZEND|DEBUG_BACKTRACE)_[A-Z0-9_]+"
    r"|true|false|null|NAN|INF|DIRECTORY_SEPARATOR|PATH_SEPARATOR|DEFAULT_INCLUDE_PATH|PEAR_[A-Z_]+|__[A-Za-z_]+__"
)


def merged(common: Any, own: Any) -> dict[str, Any]:
    """Put a site's values over those of all sites; a site takes one of them out by giving it no value (null)."""
    both = {**(common or {}), **(own or {})}
    return {name: value for name, value in both.items() if value is not None}


def php_constants(site: Mapping[str, Any], common: Any) -> str:
    """Write the PHP statements that define a site's constants, each with the type that it was declared with."""
    return "".join(
        f"define({php_literal(name)}, {php_literal(value)});\n"
        for name, value in merged(common, site.get("constants")).items()
    )


def constant_problems(place: str, constants: Any) -> list[str]:
    """Check declared constants: names, and that PHP can have the values. No line repeats one: it may be a secret."""
    problems: list[str] = []
    for name, value in constants.items() if isinstance(constants, Mapping) else ():
        here = f"{place}.{name}"
        upper = name.upper() if isinstance(name, str) else ""
        if not isinstance(name, str) or not _CONSTANT.fullmatch(name):
            problems.append(f"{place}: {shown(name)}: a constant's name is letters, digits and _, no digit first")
        elif upper in OWN_CONSTANTS:
            problems.append(f"{here}: is set by {OWN_CONSTANTS[upper]}")
        elif upper.startswith("PRESSDOCK_"):
            problems.append(f"{here}: names that begin so are this project's own: take another one")
        elif _PHPS_CONSTANT.fullmatch(name) or name.casefold() in {"true", "false", "null"}:
            problems.append(f"{here}: is PHP's own: take another name")
        else:
            try:
                php_literal(value)
            except AnsibleFilterError:
                problems.append(
                    f"{here}: must be text, a finite number, true, false, a list or a dict (put a date in quotes)"
                )
    return problems


# --- Settings of php.ini --------------------------------------------------------------------------------------------

_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9_]*([.-][A-Za-z0-9_]+)*")
_LOG = "the stack: errors go to the container's log, never into a page; take it out"
_CODE = "the stack, for it has PHP run other code: take it out"
OWN_SETTINGS: dict[str, str] = {
    "memory_limit": "memory_limit: set that, and take this out",
    "upload_max_filesize": "upload_limit: set that, and take this out",
    "post_max_size": "upload_limit: set that, and take this out",
    "max_execution_time": "max_execution_time: set that, and take this out",
    "max_input_time": "max_execution_time: set that, and take this out",
    "max_input_vars": "max_input_vars: set that, and take this out",
    "opcache.memory_consumption": "opcache_memory: set that, and take this out",
    "disable_functions": "php_disabled_functions: set that, and take this out",
    "open_basedir": "wordpress_open_basedir: set that, and take this out",
    "date.timezone": "WordPress, which counts on UTC; a site's zone is its timezone: take this out",
    **dict.fromkeys(("extension", "zend_extension"), "php_extensions: name the extension there, and take this out"),
    **dict.fromkeys(
        ("display_errors", "display_startup_errors", "log_errors", "error_log", "html_errors",
         "zend.exception_ignore_args", "syslog.ident"), _LOG,
    ),
    "error_reporting": "wordpress_log_deprecations: set that, and take this out",
    **dict.fromkeys(
        ("auto_prepend_file", "auto_append_file", "extension_dir", "enable_dl", "ffi.enable", "ffi.preload",
         "opcache.preload", "opcache.preload_user", "sendmail_path", "mail.force_extra_parameters", "mail.log",
         "imap.enable_insecure_rsh", "allow_url_include", "unserialize_callback_func", "cgi.fix_pathinfo",
         "browscap", "opcache.file_cache", "opcache.file_cache_only", "opcache.blacklist_filename"), _CODE,
    ),
    **dict.fromkeys(
        ("upload_tmp_dir", "sys_temp_dir", "session.save_path"),
        "the container, whose one place for it is /tmp: take it out",
    ),
    **dict.fromkeys(
        ("expose_php", "user_ini.filename"), "the stack, which tells strangers as little as possible: take it out",
    ),
}  # fmt: skip
"""Settings that the stack itself sets, or that would undo what it promises."""


def ini_value(value: Any) -> str:
    """Write a value of php.ini so that PHP reads exactly it.

    :raises AnsibleFilterError: for what its notation cannot hold.
    """
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AnsibleFilterError("ini_value: the number must be finite")
        return repr(float(value))
    if not isinstance(value, str):
        raise AnsibleFilterError("ini_value: must be text, a number, true or false")
    if CONTROL.search(value):
        raise AnsibleFilterError("ini_value: must not contain line breaks or other control characters")
    # In single quotes nothing means anything but the quote; in double quotes ${ and the backslash do as well.
    if "'" not in value:
        return f"'{value}'"
    if '"' in value or "\\" in value or "$" in value:
        raise AnsibleFilterError("ini_value: php.ini cannot hold a text with ' and one of \" \\ $")
    return f'"{value}"'


def php_ini(site: Mapping[str, Any], common: Any) -> str:
    """Write a site's own php.ini."""
    settings = merged(common, site.get("php_ini"))
    return "".join(f"{name} = {ini_value(value)}\n" for name, value in settings.items())


def setting_problems(place: str, settings: Any) -> list[str]:
    """Check declared settings of php.ini. Whether PHP knows them it says itself, while the image is built."""
    problems: list[str] = []
    for name, value in settings.items() if isinstance(settings, Mapping) else ():
        here = f"{place}.{name}"
        if not isinstance(name, str) or not _SETTING.fullmatch(name):
            problems.append(
                f"{place}: {shown(name)}: must be the name of a setting of php.ini, such as session.gc_maxlifetime"
            )
        elif name.casefold() in OWN_SETTINGS:
            problems.append(f"{here}: is set by {OWN_SETTINGS[name.casefold()]}")
        elif value is not None:
            try:
                ini_value(value)
            except AnsibleFilterError as error:
                problems.append(f"{here}: {shown(value)}: {error.message.partition(': ')[2]}")
    return problems


# --- Extensions -----------------------------------------------------------------------------------------------------

_EXTENSION = re.compile(r"[a-z][a-z0-9_]{0,39}")
BASE_EXTENSIONS = frozenset((
    "core", "ctype", "curl", "date", "dom", "exif", "fileinfo", "filter", "gd", "hash", "iconv", "igbinary", "imagick",
    "intl", "json", "libxml", "mbstring", "mysqli", "mysqlnd", "opcache", "openssl", "pcre", "pdo", "pdo_mysql",
    "posix",
    "random", "readline", "redis", "reflection", "session", "simplexml", "sockets", "sodium", "spl", "standard",
    "tokenizer", "xml", "xmlreader", "xmlwriter", "xsl", "zip", "zlib",
))  # fmt: skip
"""What every site has."""
COMMON_EXTENSIONS = frozenset(("calendar", "ftp", "gettext", "phar", "shmop", "sysvmsg", "sysvsem", "sysvshm"))
"""What comes with PHP's own package, switched off."""
# Packages that hold several, by those that are not called like theirs.
_PACKAGES = {
    "pdo_pgsql": "pgsql",
    "pdo_sqlite": "sqlite3",
    "pdo_odbc": "odbc",
    "pdo_dblib": "sybase",
    "pdo_firebird": "interbase",
}
REFUSED_EXTENSIONS = {
    "ffi": "calls any native code, past all that the stack refuses",
    "pcntl": "is part of PHP's command line alone: PHP-FPM has none",
    "imagemagick": "is called imagick, which every site has",
    "mysql": "ended with PHP 5: every site has mysqli",
    "mcrypt": "ended with PHP 7: use sodium or openssl, which every site has",
}


def php_package(extension: str) -> str:
    """Return the Debian package of an extension."""
    return f"php-{_PACKAGES.get(extension, extension).replace('_', '-')}"


def site_extensions(site: Mapping[str, Any], common: Any) -> list[str]:
    """List the extensions that a site has besides those of every site."""
    declared = [*(common or ()), *(site.get("php_extensions") or ())]
    return sorted({name for name in declared if name not in BASE_EXTENSIONS})


def all_extensions(sites: Mapping[str, Mapping[str, Any]], common: Any) -> list[dict[str, str]]:
    """List all extensions that some site has, the package of each (none for PHP's own), and who wants it."""
    wanted: dict[str, list[str]] = {}
    for extension in common or ():
        wanted.setdefault(extension, []).append("wordpress_php_extensions")
    for name, site in (sites or {}).items():
        for extension in site.get("php_extensions") or ():
            wanted.setdefault(extension, []).append(f"wordpress_sites.{name}.php_extensions")
    return [
        {
            "name": name,
            "package": "" if name in COMMON_EXTENSIONS else php_package(name),
            "declared": ", ".join(dict.fromkeys(places)),
        }
        for name, places in sorted(wanted.items())
        if name not in BASE_EXTENSIONS
    ]


def extension_problems(place: str, extensions: Any) -> list[str]:
    """Check the names of declared extensions. Whether Debian has one its archive says, while the image is built."""
    problems: list[str] = []
    for index, name in enumerate(extensions if isinstance(extensions, list | tuple) else ()):
        written = f"{place}[{index}]: {shown(name)}"
        if not isinstance(name, str):
            continue
        bare = re.sub(r"^php[0-9.]*-", "", name.casefold()).replace("-", "_").removesuffix(".so")
        if bare in REFUSED_EXTENSIONS:
            problems.append(f"{written}: {REFUSED_EXTENSIONS[bare]}")
        elif bare != name and _EXTENSION.fullmatch(bare):
            problems.append(f"{written}: write {bare}: the name that PHP knows the extension by")
        elif not _EXTENSION.fullmatch(name):
            problems.append(f"{written}: must be the name of an extension of PHP, such as soap")
    return problems


# --- Functions ------------------------------------------------------------------------------------------------------

_FUNCTION = re.compile(r"[a-z_][a-z0-9_]*")
NEEDED_FUNCTIONS = frozenset((
    "array_map", "call_user_func", "call_user_func_array", "chmod", "class_exists", "copy", "count", "date", "define",
    "defined", "error_log", "fclose", "file_exists", "file_get_contents", "file_put_contents", "fopen", "fread",
    "function_exists", "fwrite", "getenv", "gettype", "glob", "hash_file", "header", "ini_get", "ini_get_all",
    "ini_set",
    "is_dir", "is_file", "is_readable", "is_writable", "json_decode", "json_encode", "md5", "mkdir", "mysqli_connect",
    "mysqli_query", "mysqli_real_connect", "preg_match", "preg_replace", "rename", "rmdir", "serialize",
    "set_error_handler", "setlocale", "sprintf", "strlen", "strpos", "time", "trim", "unlink", "unserialize",
))  # fmt: skip
"""Some without which WordPress, or the stack's own health check, does not run."""


def disabled_functions(site: Mapping[str, Any], common: Iterable[str], enabled: Iterable[str]) -> list[str]:
    """List the functions that a site's PHP does not have."""
    declared = site.get("php_disabled_functions")
    spared = {*(enabled or ()), *(site.get("php_enabled_functions") or ())}
    return sorted({*(common if declared is None else declared)} - spared)


def function_problems(place: str, functions: Any, disabled: bool = True) -> list[str]:
    """Check names of functions. Whether PHP has them it says itself, while the image is built."""
    problems: list[str] = []
    for index, name in enumerate(functions if isinstance(functions, list | tuple) else ()):
        written = f"{place}[{index}]: {shown(name)}"
        if not isinstance(name, str):
            continue
        if not _FUNCTION.fullmatch(name):
            problems.append(f"{written}: must be the name of a function in lower case, such as exec")
        elif disabled and name in NEEDED_FUNCTIONS:
            problems.append(f"{written}: WordPress does not run without it")
        elif not disabled and name == "dl":
            problems.append(f"{written}: loads native code, which the stack lets no site do")
    return problems


# --- All of it ------------------------------------------------------------------------------------------------------


def php_problems(place: str, values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Check what a site, or all of them, declare of PHP.

    :param place: what stands before the fields' names, such as ``wordpress_sites.blog.``.
    :param prefix: of the fields that are called ``constants`` in a site.
    """
    return [
        *constant_problems(f"{place}{prefix}constants", values.get(f"{prefix}constants")),
        *setting_problems(f"{place}{prefix}php_ini", values.get(f"{prefix}php_ini")),
        *extension_problems(f"{place}{prefix}php_extensions", values.get(f"{prefix}php_extensions")),
        *function_problems(f"{place}{prefix}php_disabled_functions", values.get(f"{prefix}php_disabled_functions")),
        *function_problems(
            f"{place}{prefix}php_enabled_functions", values.get(f"{prefix}php_enabled_functions"), False
        ),
    ]


def php_judgements(
    sites: Mapping[str, Mapping[str, Any]], ini: Any, extensions: Any, functions: Iterable[str], enabled: Iterable[str]
) -> str:
    """Write what PHP is asked about every site while the image is built (roles/wordpress/files/judge.php), as JSON.

    :param ini: settings for all sites, as the other parameters are what is declared for all.
    """
    functions, enabled = list(functions), list(enabled or ())
    return json.dumps(
        {
            name: {
                "ini": php_ini(site, ini),
                "settings": {
                    key: {
                        "place": f"wordpress_sites.{name}.php_ini"
                        if key in (site.get("php_ini") or {})
                        else "wordpress_php_ini",
                        "value": _as_read(value),
                    }
                    for key, value in merged(ini, site.get("php_ini")).items()
                },
                "extensions": site_extensions(site, extensions),
                "functions": site.get("php_disabled_functions"),
                "disabled": disabled_functions(site, functions, enabled),
            }
            for name, site in (sites or {}).items()
        },
        ensure_ascii=False,
        indent=1,
        sort_keys=True,
    )


def _as_read(value: Any) -> str:
    """Return the text that PHP has of a setting."""
    return ("1" if value else "0") if isinstance(value, bool) else value if isinstance(value, str) else ini_value(value)


# --- Images ---------------------------------------------------------------------------------------------------------

_LEAST_FOR_IMAGES = 48 * MIB
_WORKER = 24 * MIB
_SPARE = 32 * MIB


def image_memory(site: Mapping[str, Any], memory: Any, workers: Any, limit: Any, opcache: Any) -> int:
    """Return the bytes that one image may take while it is made smaller; `memory_limit` does not count them.

    It is what the container's memory leaves when all workers are idle. One request of a site does this at a time.

    :param memory: ``wordpress_memory``, as the other parameters are what is declared for all sites.
    """
    container = bytes_from_size(site_memory(site, memory, workers, limit))
    taken = (
        bytes_from_size(site.get("opcache_memory") or opcache) + int(site.get("workers") or workers) * _WORKER + _SPARE
    )
    return max(container - taken, _LEAST_FOR_IMAGES)


def worker_memory(site: Mapping[str, Any], memory: Any, workers: Any, limit: Any, opcache: Any) -> int:
    """Return the bytes that one PHP process may have of its own: an idle worker's and an image's, or a request's limit.

    Beyond, an allocation fails and the request ends with an error, in place of the kernel ending the process.
    """
    request = bytes_from_size(site.get("memory_limit") or limit) + _SPARE
    return max(image_memory(site, memory, workers, limit, opcache) + _WORKER, request)


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "all_extensions": all_extensions,
            "disabled_functions": disabled_functions,
            "image_memory": image_memory,
            "php_constants": php_constants,
            "php_ini": php_ini,
            "php_judgements": php_judgements,
            "site_extensions": site_extensions,
            "worker_memory": worker_memory,
        }
