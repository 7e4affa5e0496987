# SPDX-License-Identifier: MIT
"""Filters of the FTP server: the file of its logins, with passwords as scrypt hashes."""

from __future__ import annotations

import functools
import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.secrets import derive_secret

# The digits of crypt(3), in the order of their values.
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT_BITS = 6
SALT_LENGTH = 22
# Each login takes 128 * 8 * 2^12 bytes, 4 MiB: logins at the same time must fit into the container's memory.
COST_EXPONENT = 12
BLOCK_SIZE = 8
LONGEST_PASSWORD = 500
"""Bytes; crypt(3) takes 511."""


def _digits(value: int, count: int) -> str:
    """Write a number in crypt's digits, the lowest first."""
    return "".join(_DIGITS[value >> (_DIGIT_BITS * place) & 0x3F] for place in range(count))


def _encoded(raw: bytes) -> str:
    """Write bytes in crypt's digits: three bytes are four digits, the lowest first."""
    parts = [raw[start : start + 3] for start in range(0, len(raw), 3)]
    return "".join(_digits(int.from_bytes(part, "little"), len(part) + 1) for part in parts)


@functools.lru_cache(maxsize=1024)
def scrypt_crypt(password: str, salt: str, cost: int = COST_EXPONENT, block: int = BLOCK_SIZE) -> str:
    """Return the scrypt hash of a password as crypt(3) writes and checks it ("$7$").

    Debian's libcrypt takes the salt as the text that it is. `cost` is scrypt's N as a power of two, `block` its r.

    :raises AnsibleFilterError: for a password that crypt(3) cannot take or FTP cannot carry.
    """
    if not isinstance(password, str) or not password:
        raise AnsibleFilterError("scrypt_crypt: the password must be text that is not empty")
    try:
        secret = password.encode()
    except UnicodeEncodeError:
        raise AnsibleFilterError("scrypt_crypt: the password cannot be written as UTF-8") from None
    if len(secret) > LONGEST_PASSWORD or any(character in password for character in "\0\r\n"):
        raise AnsibleFilterError(
            f"scrypt_crypt: the password must have at most {LONGEST_PASSWORD} bytes, and neither NUL nor line breaks"
        )
    size = 1 << cost
    raw = hashlib.scrypt(
        secret, salt=salt.encode(), n=size, r=block, p=1, maxmem=128 * block * (size + 2) + 65536, dklen=32
    )
    return f"$7${_DIGITS[cost]}{_digits(block, 5)}{_digits(1, 5)}{salt}${_encoded(raw)}"


def ftp_users(passwords: Mapping[str, str], homes: Mapping[str, str], uid: int, key: str) -> str:
    """Write the file of the FTP server's virtual users, in the form of /etc/passwd, sorted by name.

    :param passwords: login to password.
    :param homes: login to the directory that it sees as its root.
    :param uid: user and group id that all of them act as.
    :param key: the installation key, from which the salts derive: the same input gives the same file.
    """
    lines = []
    for login, password in sorted(passwords.items()):
        salt = derive_secret(key, f"ftp/{login}/salt", length=SALT_LENGTH)
        lines.append(f"{login}:{scrypt_crypt(str(password), salt)}:{uid}:{uid}::{homes[login]}:/usr/sbin/nologin\n")
    return "".join(lines)


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"ftp_users": ftp_users}
