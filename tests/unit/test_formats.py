"""Filters that write PHP and SQL, read back by small readers of those languages; sizes."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import formats
from hostile import HOSTILE


def read_php_string(literal: str) -> str:
    """Read a PHP single-quoted string by PHP's rule: a backslash escapes a quote or a backslash, nothing else."""
    assert literal[0] == literal[-1] == "'"
    body = literal[1:-1]
    assert not re.search(r"(?<!\\)(\\\\)*'", body), "the string would end early"
    return re.sub(r"\\([\\'])", r"\1", body)


def read_sql_string(literal: str) -> str:
    """Read a MariaDB string with backslash escapes and doubled quotes."""
    assert literal[0] == literal[-1] == "'"
    assert "\n" not in literal
    escapes = {"n": "\n", "r": "\r", "t": "\t", "Z": "\x1a", "0": "\0"}
    return re.sub(
        r"\\(.)|''", lambda found: escapes.get(found[1], found[1]) if found[1] else "'", literal[1:-1], flags=re.DOTALL
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_php_text_round_trip(text: str) -> None:
    assert read_php_string(formats.php_literal(text)) == text


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-7, "-7"),
        (2**63 - 1, "9223372036854775807"),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        ([], "[]"),
        ({}, "[]"),
        (["a", 1, [None]], "['a', 1, [null]]"),
        ({"it's": {"n": 1}, 5: "x"}, "['it\\'s' => ['n' => 1], 5 => 'x']"),
        (("a",), "['a']"),
    ],
)
def test_php_values(value: Any, literal: str) -> None:
    assert formats.php_literal(value) == literal


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63), float("nan"), float("inf"), "a\0b", "\ud800", {True: 1}, {None: 1}, {1.5: 1}, b"x", {1, 2}],
)
def test_php_refuses_what_would_not_come_back(value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="php_literal"):
        formats.php_literal(value)


@pytest.mark.skipif(not shutil.which("php"), reason="needs the php program")
def test_php_reads_back_every_value() -> None:
    values = {
        "texts": HOSTILE,
        "numbers": [0, -1, 2**63 - 1, 0.1, 1e300],
        "others": [True, False, None, [], {"k": "v"}],
    }
    program = f"echo json_encode({formats.php_literal(values)}, JSON_THROW_ON_ERROR);"
    read_back = subprocess.run(["php", "-r", program], check=True, capture_output=True, text=True).stdout
    assert json.loads(read_back) == values


@pytest.mark.parametrize("text", HOSTILE)
def test_sql_text_round_trip(text: str) -> None:
    assert read_sql_string(formats.sql_literal(text)) == text


@pytest.mark.parametrize(
    ("value", "literal"), [(None, "NULL"), (True, "TRUE"), (False, "FALSE"), (-5, "-5"), ("", "''")]
)
def test_sql_values(value: Any, literal: str) -> None:
    assert formats.sql_literal(value) == literal


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 1.5, ["a"], {"a": 1}, b"x"])
def test_sql_refuses_what_it_cannot_write(value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="sql_literal"):
        formats.sql_literal(value)


@pytest.mark.parametrize(
    ("name", "written"),
    [("wordpress_blog", "`wordpress_blog`"), ("a`b", "`a``b`"), ("a'b\\", "`a'b\\`"), ("x" * 64, "`" + "x" * 64 + "`")],
)
def test_sql_identifiers(name: str, written: str) -> None:
    assert formats.sql_identifier(name) == written


def test_sql_identifier_as_pattern_matches_itself_only() -> None:
    assert formats.sql_identifier("wordpress_blog", pattern=True) == "`wordpress\\_blog`"
    assert formats.sql_identifier("100%", pattern=True) == "`100\\%`"


@pytest.mark.parametrize("name", ["", "x" * 65, "a ", "a\0b", "🐘", None, 5])
def test_sql_refuses_bad_identifiers(name: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="sql_identifier"):
        formats.sql_identifier(name)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("384m", 384 * 1024**2),
        ("384M", 384 * 1024**2),
        (" 1.5g ", 1536 * 1024**2),
        ("64k", 65536),
        ("1t", 1024**4),
        ("512b", 512),
        ("0.1k", 102),
        (1048576, 1048576),
        ("+1k", 1024),
    ],
)
def test_sizes(size: Any, expected: int) -> None:
    assert formats.bytes_from_size(size) == expected


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("384", "'384' has no unit: write 384m"),
        ("384q", "'384q' has an unknown unit"),
        ("384mb", "'384mb' has an unknown unit"),
        ("m", "'m' is not a size"),
        ("", "'' is not a size"),
        ("1,5g", "'1,5g' is not a size"),
        ("1e3m", "'1e3m' is not a size"),
        ("12 m", "'12 m' is not a size"),
        ("0m", "'0m' must be greater than zero"),
        ("0.0001k", "'0.0001k' must be greater than zero"),
        ("-5m", "'-5m' must be greater than zero"),
        (0, "'0' must be greater than zero"),
        (-1, "'-1' must be greater than zero"),
        (True, "not bool"),
        (1.5, "not float"),
        (None, "not NoneType"),
        (["1m"], "not list"),
    ],
)
def test_bad_sizes_are_refused(size: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        formats.bytes_from_size(size)


def test_filters_are_offered_by_their_own_names() -> None:
    filters = formats.FilterModule().filters()
    assert {name: function.__name__ for name, function in filters.items()} == {name: name for name in filters}
