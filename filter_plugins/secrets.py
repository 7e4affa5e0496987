"""Filters that derive secrets from the installation key and hash them for their consumers.

Every filter is a pure function: no randomness, no clock, no file. The same arguments give the same text on every
run, which is what lets a second converge find nothing to change. What needs a salt takes a *seed* (usually another
derived secret) and computes the salt from it.

Errors are raised as AnsibleFilterError; they say which argument is wrong and why and never contain a secret's value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import bcrypt
from ansible.errors import AnsibleFilterError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MINIMUM_KEY_BITS = 128
RECOMMENDED_KEY_BITS = 256
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHORTEST_SECRET = 12
LONGEST_SECRET = 1024
# A key of 16 random bytes has fewer distinct values than this once in about 10^14 keys; "000..." has one.
MINIMUM_DISTINCT_BYTES = 8
# bcrypt reads this many bytes of a password, in every implementation, and ignores the rest.
BCRYPT_MAXIMUM_BYTES = 72
# What PHP's trim() removes; WordPress trims a password before it hashes it and again at login.
PHP_TRIM = " \n\r\t\v\0"

_SECRET_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@/-]*[A-Za-z0-9])?")
_BCRYPT_DIGITS = "./" + string.ascii_uppercase + string.ascii_lowercase + string.digits
_BASE64_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"


def parse_key(key: Any) -> bytes:
    """Return the bytes of an installation key written as hexadecimal digits or as base64.

    Text of nothing but hexadecimal digits is read as hexadecimal. White space around the key (the newline at the
    end of a key file) does not count. Raises AnsibleFilterError for anything else, for a key under 128 bit and
    for one that is plainly not random.
    """
    if not isinstance(key, str):
        raise AnsibleFilterError(f"the installation key must be text, not {type(key).__name__}")
    text = str(key).strip()
    if not text:
        raise AnsibleFilterError("the installation key is empty")
    if re.fullmatch(r"[0-9A-Fa-f]+", text):
        if len(text) % 2:
            raise AnsibleFilterError("the installation key has an odd number of hexadecimal digits: it was cut short")
        raw = bytes.fromhex(text)
    else:
        try:
            raw = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raise AnsibleFilterError("the installation key is neither hexadecimal digits nor base64") from None
    if len(raw) * 8 < MINIMUM_KEY_BITS:
        raise AnsibleFilterError(
            f"the installation key has {len(raw) * 8} bit; at least {MINIMUM_KEY_BITS} are needed, "
            f"{RECOMMENDED_KEY_BITS} recommended (64 hexadecimal digits)"
        )
    if len(set(raw)) < MINIMUM_DISTINCT_BYTES:
        raise AnsibleFilterError("the installation key is not random: almost all of its bytes are the same")
    return raw


def hkdf_sha256(key: bytes, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    """Return `length` bytes of HKDF-SHA256 (RFC 5869) for `key` and `info`; without `salt`, one of zero bytes."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


def derive_secret(key: str, name: str, version: int = 1, length: int = 32) -> str:
    """Derive the secret `name` from the installation key: `length` characters of [A-Za-z0-9].

    `name` separates secrets from each other, `version` (1, 2, ...) rotates one of them. HKDF-SHA256 gives 128 bit
    more than the text can hold, so that reducing the number to base 62 favours no character measurably.
    """
    if not isinstance(name, str) or not _SECRET_NAME.fullmatch(name):
        raise AnsibleFilterError(
            "derive_secret: the name must be letters, digits and . _ @ / - (such as database/blog)"
        )
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise AnsibleFilterError(f"derive_secret: the version of '{name}' must be a whole number from 1")
    if isinstance(length, bool) or not isinstance(length, int) or not SHORTEST_SECRET <= length <= LONGEST_SECRET:
        raise AnsibleFilterError(
            f"derive_secret: the length of '{name}' must be a whole number from {SHORTEST_SECRET} to {LONGEST_SECRET}"
        )
    # 6 bits hold more than one base 62 digit (5.95 bits); 16 further bytes make the bias smaller than 2^-128.
    size = (length * 6 + 7) // 8 + 16
    number = int.from_bytes(hkdf_sha256(parse_key(key), f"pressdock/{name}/v{version}".encode(), size), "big")
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)


def derive_secrets(
    key: str, names: Iterable[str], prefix: str, versions: Mapping[str, int] | None = None, length: int = 32
) -> dict[str, str]:
    """Derive one secret for each of `names`: a dict of name to the secret `prefix`/name.

    `versions` holds the versions of those that were rotated, by prefix/name; all others have version 1.
    """
    return {
        name: derive_secret(key, f"{prefix}/{name}", (versions or {}).get(f"{prefix}/{name}", 1), length)
        for name in names
    }


def tool_password(given: Any, name: str, key: str, versions: Mapping[str, int] | None = None) -> str:
    """Return the password in front of a tool: the given one, or where that is empty the derived `tool`/name."""
    return str(given) if given else derive_secrets(key, [name], "tool", versions)[name]


def keyed_digest(value: Any, key: str) -> str:
    """Return 32 hexadecimal characters that change when `value` does and say nothing about it without the key.

    `value` is text, a number, a list or a dict (of the same); the order of a dict's keys does not matter. For labels
    that must show "the secrets have changed" without being a hash that can be guessed against.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError):
        raise AnsibleFilterError("keyed_digest: the value must be text, numbers, lists and dicts only") from None
    digest_key = hkdf_sha256(parse_key(key), b"pressdock/keyed-digest", 32)
    return hmac.new(digest_key, text.encode(), hashlib.sha256).hexdigest()[:32]


def mysql_native_hash(password: str) -> str:
    """Return the hash of MariaDB's mysql_native_password: an asterisk and SHA1(SHA1(password)) in upper case."""
    inner = hashlib.sha1(_password_bytes("mysql_native_hash", password), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()


def redis_acl_hash(password: str) -> str:
    """Return the SHA-256 of a password in hexadecimal, which Redis takes after '#' in a user's ACL rule."""
    return hashlib.sha256(_password_bytes("redis_acl_hash", password)).hexdigest()


def wordpress_hash(password: str, seed: str, cost: int = 12) -> str:
    """Return the hash under which WordPress 6.8 and later stores a password: "$wp" and a bcrypt hash.

    WordPress hashes bcrypt(base64(HMAC-SHA384(trimmed password, "wp-sha384"))), see wp_hash_password() in its
    wp-includes/pluggable.php. What it gets from the login form has a backslash before each quote and backslash
    (wp_magic_quotes(), not undone for the password), so that is what is hashed here. `cost` must be PHP's default
    (12 since PHP 8.4, 10 before), or WordPress hashes the password anew at the next login and the stored hash
    differs from the declared one.
    """
    slashed = re.sub(rb"([\\'\"])", rb"\\\1", _password_bytes("wordpress_hash", password))
    trimmed = slashed.strip(PHP_TRIM.encode())
    if not trimmed:
        raise AnsibleFilterError("wordpress_hash: the password is nothing but white space")
    prepared = base64.b64encode(hmac.new(b"wp-sha384", trimmed, hashlib.sha384).digest())
    return "$wp" + _bcrypt("wordpress_hash", prepared, seed, cost)


def htpasswd(password: str, login: str, seed: str, cost: int = 10) -> str:
    """Return the line `login:hash` of an htpasswd file, with a bcrypt hash in the "$2y$" notation.

    bcrypt reads the first 72 bytes of a password; a longer one is accepted and logs in, on the strength of these.
    """
    if not isinstance(login, str) or not login or re.search(r"[:\x00-\x1f\x7f]", login) or login != login.strip():
        raise AnsibleFilterError("htpasswd: the login must be text without colons, control characters and outer spaces")
    secret = _password_bytes("htpasswd", password)[:BCRYPT_MAXIMUM_BYTES]
    return f"{login}:{_bcrypt('htpasswd', secret, seed, cost)}"


def _password_bytes(caller: str, password: Any) -> bytes:
    """Return a password as UTF-8; refuse what no consumer could take: other types, empty text, NUL, half characters."""
    if not isinstance(password, str):
        raise AnsibleFilterError(f"{caller}: the password must be text, not {type(password).__name__}")
    if not password:
        raise AnsibleFilterError(f"{caller}: the password is empty")
    if "\0" in password:
        raise AnsibleFilterError(f"{caller}: the password contains a NUL character")
    try:
        return password.encode()
    except UnicodeEncodeError:
        raise AnsibleFilterError(f"{caller}: the password cannot be written as UTF-8") from None


def _bcrypt(caller: str, secret: bytes, seed: Any, cost: Any) -> str:
    """Return the "$2y$" hash of at most 72 bytes, its 128 bit salt computed from `seed`.

    The password takes no part in the salt: the salt is readable in the hash and must not be a fast digest of it.
    """
    if not isinstance(seed, str) or len(seed) < SHORTEST_SECRET:
        raise AnsibleFilterError(
            f"{caller}: the seed of the salt must be text of at least {SHORTEST_SECRET} characters"
        )
    if isinstance(cost, bool) or not isinstance(cost, int) or not 4 <= cost <= 16:
        raise AnsibleFilterError(f"{caller}: the cost must be a whole number from 4 to 16")
    raw_salt = hashlib.sha256(b"pressdock/bcrypt-salt/" + seed.encode()).digest()[:16]
    # bcrypt writes its salt in base64 with the digits in another order and without padding.
    salt = base64.b64encode(raw_salt).decode().rstrip("=").translate(str.maketrans(_BASE64_DIGITS, _BCRYPT_DIGITS))
    hashed = bcrypt.hashpw(secret, f"$2b${cost:02d}${salt}".encode()).decode()
    # "2b" and "2y" name the same algorithm; PHP and Apache's tools write the latter.
    return "$2y$" + hashed.removeprefix("$2b$")


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "derive_secret": derive_secret,
            "derive_secrets": derive_secrets,
            "htpasswd": htpasswd,
            "keyed_digest": keyed_digest,
            "mysql_native_hash": mysql_native_hash,
            "redis_acl_hash": redis_acl_hash,
            "tool_password": tool_password,
            "wordpress_hash": wordpress_hash,
        }
