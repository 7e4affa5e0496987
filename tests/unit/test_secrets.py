"""Filters that derive and hash: standard vectors, the rules for keys and names, hostile passwords."""

import base64
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins import secrets
from hostile import HOSTILE

KEY = "8f0b7a5d3c1e92846af7d0b35e1c48297be6035fad92c81470e3b65a9d2c1f84"
SEED = "seed-for-the-tests"


# RFC 5869, appendix A, test cases 1 to 3 (SHA-256).
@pytest.mark.parametrize(
    ("key", "salt", "info", "length", "expected"),
    [
        (
            b"\x0b" * 22,
            bytes(range(0x0D)),
            bytes(range(0xF0, 0xFA)),
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            82,
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            b"\x0b" * 22,
            None,
            b"",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf_vectors(key: bytes, salt: bytes | None, info: bytes, length: int, expected: str) -> None:
    assert secrets.hkdf_sha256(key, info, length, salt).hex() == expected


def test_derived_secret_is_what_the_definition_says() -> None:
    """Compute the same text by another way: HMAC by hand instead of the library's HKDF."""
    prk = hmac.new(b"\0" * 32, bytes.fromhex(KEY), hashlib.sha256).digest()
    info = b"pressdock/database/blog/v3"
    size = (20 * 6 + 7) // 8 + 16
    block, stream = b"", b""
    for counter in range(1, 4):
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        stream += block
    number = int.from_bytes(stream[:size], "big")
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    expected = "".join(alphabet[number // 62**place % 62] for place in range(20))
    assert secrets.derive_secret(KEY, "database/blog", version=3, length=20) == expected


def test_derived_secret_never_changes() -> None:
    """A changed derivation would change every password of every installation."""
    assert secrets.derive_secret(KEY, "database/blog") == "iEmaBM39fppwLnsBxB45R0DGJlnPFfQd"


def test_derived_secrets_differ_by_name_version_and_key() -> None:
    other_key = KEY[:-1] + "5"
    values = {
        secrets.derive_secret(key, name, version)
        for key in (KEY, other_key)
        for name in ("database/blog", "database/shop", "salt")
        for version in (1, 2)
    }
    assert len(values) == 12


@pytest.mark.parametrize("length", [12, 32, 64, 1024])
def test_derived_secret_has_exactly_the_length(length: int) -> None:
    assert re.fullmatch(rf"[A-Za-z0-9]{{{length}}}", secrets.derive_secret(KEY, "x", length=length))


def test_derived_characters_are_spread_evenly() -> None:
    counts = Counter("".join(secrets.derive_secret(KEY, "spread", version, 1024) for version in range(1, 62)))
    assert len(counts) == 62
    # 62464 characters over 62 symbols: 1007 each, standard deviation 31.5; 6 of them on either side.
    assert all(1007 - 190 < count < 1007 + 190 for count in counts.values())


def test_key_notations_are_equal() -> None:
    raw = bytes.fromhex(KEY)
    plain = base64.b64encode(raw).decode()
    url_safe = base64.urlsafe_b64encode(raw).decode()
    for text in (KEY, KEY.upper(), KEY + "\n", plain, url_safe + "\n"):
        assert secrets.parse_key(text) == raw


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (None, "must be text, not NoneType"),
        (12345, "must be text, not int"),
        (KEY[:30], "has 120 bit; at least 128"),
        (KEY[:63], "odd number of hexadecimal digits"),
        (base64.b64encode(bytes(range(15))).decode(), "has 120 bit; at least 128"),
        ("correct horse battery staple!", "neither hexadecimal digits nor base64"),
        ("0" * 64, "not random"),
        ("ab" * 32, "not random"),
    ],
)
def test_bad_keys_are_refused(key: Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message) as caught:
        secrets.derive_secret(key, "name")
    assert not isinstance(key, str) or len(key) < 8 or key not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "a\nb", "/a", "a/", "ü", None, 5])
def test_bad_names_are_refused(name: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="the name must be"):
        secrets.derive_secret(KEY, name)


@pytest.mark.parametrize("version", [0, -1, "1", True, 1.0, None])
def test_bad_versions_are_refused(version: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="version of 'name' must be a whole number"):
        secrets.derive_secret(KEY, "name", version)


@pytest.mark.parametrize("length", [0, 11, 1025, "32", True, None])
def test_bad_lengths_are_refused(length: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="length of 'name' must be a whole number"):
        secrets.derive_secret(KEY, "name", length=length)


def test_derived_secrets_are_those_of_their_names() -> None:
    sites = {"blog": {"domain": "a.example"}, "shop": {}}
    assert secrets.derive_secrets(KEY, sites, "database", {"database/shop": 3}, length=20) == {
        "blog": secrets.derive_secret(KEY, "database/blog", length=20),
        "shop": secrets.derive_secret(KEY, "database/shop", 3, 20),
    }
    assert secrets.derive_secrets(KEY, [], "database") == {}


def test_keyed_digest_follows_the_value_and_the_key() -> None:
    value = {"b": ["x", {"c": 1, "a": None}], "a": "ü"}
    same = {"a": "ü", "b": ["x", {"a": None, "c": 1}]}
    assert secrets.keyed_digest(value, KEY) == secrets.keyed_digest(same, KEY)
    assert re.fullmatch(r"[0-9a-f]{32}", secrets.keyed_digest(value, KEY))
    others: list[Any] = ["", "x", ["x"], [["x"]], ["x", ""], {}, [], {"x": ""}, None, 1, "1", True, *HOSTILE]
    digests = [secrets.keyed_digest(other, KEY) for other in others]
    assert len(set(digests)) == len(others)
    assert secrets.keyed_digest("x", KEY) != secrets.keyed_digest("x", KEY[::-1])


def test_keyed_digest_refuses_what_has_no_canonical_form() -> None:
    for value in (b"bytes", {1, 2}, float("nan"), object()):
        with pytest.raises(AnsibleFilterError, match="keyed_digest: the value must be"):
            secrets.keyed_digest(value, KEY)


def test_mysql_native_hash_vectors() -> None:
    # The value that the MySQL manual prints for PASSWORD('mypass'), and the widely known one of 'password'.
    assert secrets.mysql_native_hash("mypass") == "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4"
    assert secrets.mysql_native_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


def test_redis_acl_hash_vector() -> None:
    # FIPS 180-2, appendix B.1.
    assert secrets.redis_acl_hash("abc") == "ba7816bf" + "8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("password", HOSTILE)
def test_wordpress_hash_verifies_as_wordpress_does(password: str) -> None:
    hashed = secrets.wordpress_hash(password, SEED, cost=4)
    assert hashed.startswith("$wp$2y$04$")
    assert hashed == secrets.wordpress_hash(password, SEED, cost=4)
    # What the login form's password is when it reaches wp_check_password().
    slashed = password.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').strip(" \n\r\t\v\0")
    prepared = base64.b64encode(hmac.new(b"wp-sha384", slashed.encode(), hashlib.sha384).digest())
    assert bcrypt.checkpw(prepared, hashed.removeprefix("$wp").encode())
    assert not bcrypt.checkpw(prepared + b"x", hashed.removeprefix("$wp").encode())


@pytest.mark.parametrize("password", HOSTILE)
def test_htpasswd_verifies(password: str) -> None:
    login, hashed = secrets.htpasswd(password, "operator", SEED, cost=4).split(":")
    assert login == "operator"
    assert hashed.startswith("$2y$04$")
    assert bcrypt.checkpw(password.encode()[:72], hashed.encode())
    assert not bcrypt.checkpw(b"another", hashed.encode())


def test_salts_follow_the_seed_and_nothing_else() -> None:
    salts = {secrets.htpasswd(password, "x", SEED, cost=4)[2 : 2 + 29] for password in HOSTILE}
    assert len(salts) == 1
    assert secrets.htpasswd("password", "x", SEED, cost=4) != secrets.htpasswd("password", "x", SEED + "2", cost=4)


@pytest.mark.parametrize("seed_number", range(40))
def test_every_salt_is_one_that_bcrypt_accepts(seed_number: int) -> None:
    """The program ignores the last bits of its salt's last digit: a salt that used them would come back changed."""
    hashed = secrets.htpasswd("password", "x", f"seed number {seed_number}", cost=4).removeprefix("x:")
    assert bcrypt.hashpw(b"password", hashed.encode()).decode() == hashed


@pytest.mark.parametrize("login", ["", "a:b", "a\nb", " a", "a ", None])
def test_htpasswd_refuses_bad_logins(login: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="htpasswd: the login must be"):
        secrets.htpasswd("password", login, SEED)


HASHES: list[Callable[[Any], str]] = [
    secrets.mysql_native_hash,
    secrets.redis_acl_hash,
    lambda password: secrets.wordpress_hash(password, SEED, cost=4),
    lambda password: secrets.htpasswd(password, "login", SEED, cost=4),
]


@pytest.mark.parametrize("hasher", HASHES)
@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "is empty"),
        ("nul\0inside", "contains a NUL"),
        ("half \ud800 character", "cannot be written as UTF-8"),
        (None, "must be text, not NoneType"),
        (12345678901234, "must be text, not int"),
    ],
)
def test_bad_passwords_are_refused_without_being_shown(
    hasher: Callable[[Any], str], password: Any, message: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=message) as caught:
        hasher(password)
    assert not password or str(password) not in str(caught.value)


@pytest.mark.parametrize("hasher", HASHES)
def test_hashes_are_distinct_and_stable(hasher: Callable[[Any], str]) -> None:
    hashed = [hasher(password) for password in HOSTILE]
    assert len(set(hashed)) == len(HOSTILE)
    assert hashed == [hasher(password) for password in HOSTILE]


@pytest.mark.parametrize("password", [" ", " \t\r\n\x0b"])
def test_password_that_wordpress_would_trim_to_nothing_is_refused(password: str) -> None:
    with pytest.raises(AnsibleFilterError, match="nothing but white space"):
        secrets.wordpress_hash(password, SEED, cost=4)


@pytest.mark.parametrize("cost", [3, 17, "12", True])
def test_bad_costs_are_refused(cost: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="the cost must be"):
        secrets.wordpress_hash("password", SEED, cost)


@pytest.mark.parametrize("seed", ["", "short", None, 123456789012])
def test_bad_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="seed of the salt must be"):
        secrets.wordpress_hash("password", seed)


def test_filters_are_offered_by_their_own_names() -> None:
    filters = secrets.FilterModule().filters()
    assert {name: function.__name__ for name, function in filters.items()} == {name: name for name in filters}
    assert set(filters) == {
        "derive_secret",
        "derive_secrets",
        "htpasswd",
        "keyed_digest",
        "mysql_native_hash",
        "redis_acl_hash",
        "tool_password",
        "wordpress_hash",
    }


def test_tool_password_is_the_given_or_a_derived_one() -> None:
    assert secrets.tool_password("the keeper's word", "adminer", KEY) == "the keeper's word"
    derived = secrets.tool_password("", "adminer", KEY)
    assert derived == secrets.derive_secret(KEY, "tool/adminer")
    assert secrets.tool_password("", "adminer", KEY, {"tool/adminer": 2}) == secrets.derive_secret(
        KEY, "tool/adminer", 2
    )
    assert secrets.tool_password("", "adminer", KEY, {"tool/other": 2}) == derived
