"""Filters that write values in the notation of the language that reads them: PHP, SQL, sizes in bytes.

All are pure. A value comes back from its consumer exactly as it went in, or an AnsibleFilterError says what cannot be
written; an error never repeats the value, which may be a secret.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from ansible.errors import AnsibleFilterError

PHP_INT_MAX = 2**63 - 1
IDENTIFIER_LENGTH = 64
UNITS = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}

_SIZE = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>[A-Za-z]*)")
_SQL_ESCAPES = {"\\": "\\\\", "'": "''", "\n": "\\n", "\r": "\\r", "\x1a": "\\Z"}


def php_literal(value: Any) -> str:
    """Return a PHP expression whose value is `value`: text, a whole number, a float, a boolean, null, a list or a dict.

    Text becomes a single-quoted string, in which PHP interprets nothing but backslash and quote. PHP itself turns an
    array key that looks like a whole number into one.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if abs(value) > PHP_INT_MAX:
            raise AnsibleFilterError("php_literal: the number does not fit into PHP's 64 bit integer")
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise AnsibleFilterError("php_literal: the number must be finite")
        return repr(float(value))
    if isinstance(value, str):
        return "'" + _text("php_literal", value).replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, Mapping):
        return "[" + ", ".join(f"{_php_key(key)} => {php_literal(item)}" for key, item in value.items()) + "]"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(php_literal(item) for item in value) + "]"
    raise AnsibleFilterError(f"php_literal: a value of type {type(value).__name__} has no PHP notation here")


def sql_literal(value: Any) -> str:
    """Return a MariaDB literal for text, a number, a boolean or null, always on one line.

    For the default sql_mode, in which a backslash escapes (not NO_BACKSLASH_ESCAPES), and a utf8mb4 connection. A
    server's init file takes one statement a line, hence newlines are written as escapes.
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, str):
        return "'" + "".join(_SQL_ESCAPES.get(character, character) for character in _text("sql_literal", value)) + "'"
    raise AnsibleFilterError(f"sql_literal: a value of type {type(value).__name__} has no SQL notation here")


def sql_identifier(value: Any, pattern: bool = False) -> str:
    """Return the name of a database, table or column in backquotes.

    With `pattern`, for the database in GRANT and REVOKE: MariaDB reads "_" and "%" there as wildcards, so a grant on
    wordpress_blog without their backslash would also cover wordpressXblog.
    """
    if not isinstance(value, str):
        raise AnsibleFilterError(f"sql_identifier: a name must be text, not {type(value).__name__}")
    name = _text("sql_identifier", value)
    if not 1 <= len(name) <= IDENTIFIER_LENGTH:
        raise AnsibleFilterError(f"sql_identifier: a name must have 1 to {IDENTIFIER_LENGTH} characters")
    if name.endswith(" ") or any(ord(character) > 0xFFFF for character in name):
        raise AnsibleFilterError("sql_identifier: a name must not end in a space or contain characters above U+FFFF")
    if pattern:
        name = re.sub(r"([_%\\])", r"\\\1", name)
    return "`" + name.replace("`", "``") + "`"


def bytes_from_size(value: Any) -> int:
    """Return the bytes in a size: "384m", "1.5g" (units b, k, m, g, t of 1024, either case) or a number of bytes.

    Parts of a byte are dropped. Raises AnsibleFilterError for a missing or unknown unit, zero and negative sizes.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise AnsibleFilterError(f"a size must be text such as 384m or a number of bytes, not {type(value).__name__}")
    if isinstance(value, int):
        size = int(value)
    else:
        match = _SIZE.fullmatch(value.strip())
        if not match:
            raise AnsibleFilterError(f"'{value}' is not a size: write a number and a unit, such as 384m or 1.5g")
        unit = match["unit"].lower()
        if not unit:
            raise AnsibleFilterError(
                f"the size '{value}' has no unit: write {value}m for megabytes, {value}b for bytes"
            )
        if unit not in UNITS:
            raise AnsibleFilterError(f"the size '{value}' has an unknown unit: use one of {', '.join(UNITS)}")
        size = int(Fraction(match["number"]) * UNITS[unit])
        if match["sign"] == "-":
            size = -size
    if size <= 0:
        raise AnsibleFilterError(f"the size '{value}' must be greater than zero")
    return size


def _text(caller: str, value: str) -> str:
    """Return `value` as plain text; refuse NUL and what cannot be written as UTF-8."""
    if "\0" in value:
        raise AnsibleFilterError(f"{caller}: the text contains a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise AnsibleFilterError(f"{caller}: the text cannot be written as UTF-8") from None
    return str(value)


def _php_key(key: Any) -> str:
    """Return the notation of an array key, which PHP keeps only as text or a whole number."""
    if isinstance(key, bool) or not isinstance(key, int | str):
        raise AnsibleFilterError(f"php_literal: an array key must be text or a whole number, not {type(key).__name__}")
    return php_literal(key)


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "bytes_from_size": bytes_from_size,
            "php_literal": php_literal,
            "sql_identifier": sql_identifier,
            "sql_literal": sql_literal,
        }
