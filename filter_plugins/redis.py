# SPDX-License-Identifier: MIT
"""Redis' users: the file that the server reads them from, and the running server compared with what is declared."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

# The files of this folder import each other: Ansible puts the project on nobody's path.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from filter_plugins.secrets import redis_acl_hash

DEFAULT_USER = "user default off resetpass resetkeys resetchannels -@all"
"""What whoever does not log in may do."""
_LOGIN_REFUSED = ("WRONGPASS", "NOAUTH", "NOPERM")
# What the server that is asked while the image is built has other values of (Dockerfile.j2), or may have: the limit of
# open files decides how many connections there can be.
_NOT_RECORDED = {
    *("aclfile", "appendonly", "daemonize", "dir", "logfile", "maxclients", "pidfile", "port", "unixsocket"),
}
# Former names of settings, which the server tells as well.
_FORMER = re.compile("slaveof|.*slave.*|.*-ziplist-.*|lua-time-limit")
# Set by commands of their own, not by CONFIG SET: only a new start of the server takes them back.
_UNSETTABLE = {"replicaof"}


def redis_acl(users: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the file of the server's users, with hashes in place of passwords.

    :param users: name to ``{password, other_password, keys, commands}``: a second password, or none; patterns of keys
        and names of commands (``acl|list`` for one of a command's own). Nothing else is allowed to anybody, and nothing
        at all to whoever does not log in.
    """
    lines = [DEFAULT_USER]
    for name, user in sorted(users.items()):
        passwords = [user["password"], *filter(None, [user.get("other_password")])]
        # In an order of their own: it makes no other file when the two change places.
        hashes = sorted(redis_acl_hash(str(password)) for password in passwords)
        words = [f"user {name} on", *(f"#{one}" for one in hashes), "resetkeys"]
        words += [f"~{pattern}" for pattern in user["keys"]]
        words += ["resetchannels", "-@all"]
        words += [f"+{command}" for command in user["commands"]]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class User:
    """One user as a line of the file or of ``ACL LIST`` describes it, without the order of the words."""

    flags: frozenset[str]
    passwords: frozenset[str]
    keys: frozenset[str]
    channels: frozenset[str]
    commands: frozenset[str]
    selectors: tuple[str, ...]

    @classmethod
    def from_words(cls, text: str) -> User:
        """Read what follows a user's name."""
        selectors = re.findall(r"\([^)]*\)", text)
        words = re.sub(r"\([^)]*\)", " ", text).split()
        return cls(
            # Words that put nothing there say nothing.
            frozenset(w for w in words if re.match(r"(?!reset|sanitize-payload)[a-z]", w) and w != "off"),
            frozenset(w for w in words if w[0] in "#>"),
            frozenset(w for w in words if w[0] in "~%" or w == "allkeys"),
            frozenset(w for w in words if w[0] == "&"),
            frozenset(w.lower() for w in words if w[0] in "+-"),
            tuple(sorted(selectors)),
        )

    def opens_more(self, declared: User) -> bool:
        """Tell whether this user, as the server has it, can be logged in as by more than the declared passwords."""
        return "nopass" in self.flags or bool(self.passwords - declared.passwords)

    def differences(self, declared: User) -> list[str]:
        """Say what this user, as the server has it, differs in; never a password or its hash."""
        found = []
        if ("on" in self.flags) != ("on" in declared.flags):
            found.append("switched " + ("on" if "on" in self.flags else "off"))
        if "nopass" in self.flags:
            found.append("needs no password")
        elif self.passwords != declared.passwords:
            count = len(self.passwords)
            same_number = count == len(declared.passwords)
            found.append("another password" if same_number else f"{count} password{'' if count == 1 else 's'}")
        parts = (
            (self.flags - {"on", "nopass"}, declared.flags - {"on"}),
            (self.keys, declared.keys),
            (self.channels, declared.channels),
            (self.commands, declared.commands),
            (frozenset(self.selectors), frozenset(declared.selectors)),
        )
        for actual, wanted in parts:
            found += [f"{word} added" for word in sorted(actual - wanted)]
            found += [f"{word} missing" for word in sorted(wanted - actual)]
        return found


def acl_users(lines: Iterable[str]) -> dict[str, User]:
    """Read the lines of an ACL file or of ``ACL LIST``."""
    users = {}
    for line in lines:
        _, name, words = line.split(" ", 2)
        users[name] = User.from_words(words)
    return users


def redis_differences(
    answer: str, users: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any], extra_config: str = ""
) -> dict[str, Any]:
    """Compare the running server with what is declared, and say how to put right what differs.

    :param answer: a JSON document a line: what a server has said to ``CONFIG GET *`` that was started with this
        configuration while the image was built (an empty list where nothing is recorded), and what redis-cli printed
        of ``AUTH``, ``ACL LIST`` and ``CONFIG GET *``.
    :param users: as :func:`redis_acl` takes them; that is what the server's file holds.
    :param settings: name to value, as the server writes it. They go before what is recorded.
    :param extra_config: the operator's own directives: of settings that it names what is recorded counts.
    :return: ``commands`` for the server, ``changes`` (a line each for people, no secrets), and ``restart``: only a new
        start of the server helps, for the login that asks was refused, or it was made a replica of another.
    :raises AnsibleFilterError: when the answer cannot be read.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    refused = [line for line in lines if line.startswith("error:")]
    if refused:
        if any(word in line for line in refused for word in _LOGIN_REFUSED):
            change = "the login that compares: refused, so the server starts again with what is declared"
            return {"commands": [], "changes": [change], "restart": True}
        raise AnsibleFilterError(f"redis_differences: {refused[0]}")
    try:
        recorded, _, listed, flat = (json.loads(line) for line in lines)
        actual_users = acl_users(listed)
        actual_settings = dict(zip(flat[::2], flat[1::2], strict=True))
        declared_settings = dict(zip(recorded[::2], recorded[1::2], strict=True))
    except (ValueError, TypeError, AttributeError, IndexError):
        raise AnsibleFilterError("redis_differences: the server's answer cannot be read") from None

    changes: list[str] = []
    declared_users = acl_users(redis_acl(users).splitlines())
    changes += [f"user {name}: not declared, removed" for name in sorted(set(actual_users) - set(declared_users))]
    closed = []
    for name, declared in sorted(declared_users.items()):
        if name not in actual_users:
            changes.append(f"user {name}: missing, added")
        elif found := actual_users[name].differences(declared):
            changes.append(f"user {name}: {', '.join(found)}: put right")
            if actual_users[name].opens_more(declared):
                closed.append(f"CLIENT KILL USER {name}")
    # The server closes the connections of users that are gone. Those of others go on, also what a password has opened
    # that is no longer theirs.
    commands = ["ACL LOAD", *closed] if changes else []
    own = {words[0].lower() for line in extra_config.splitlines() if (words := line.split())}
    declared_settings = {
        name: value
        for name, value in declared_settings.items()
        if name not in _NOT_RECORDED and not _FORMER.fullmatch(name)
    } | {name: str(value) for name, value in settings.items() if name not in own}
    restart = False
    for name, wanted in sorted(declared_settings.items()):
        actual = actual_settings.get(name)
        if actual != wanted:
            changes.append(f"setting {name}: {_shown(name, actual)} -> {_shown(name, wanted)}")
            if name in _UNSETTABLE:
                restart = True
            else:
                commands.append(f"CONFIG SET {name} {json.dumps(wanted, ensure_ascii=False)}")
    return {"commands": commands, "changes": changes, "restart": restart}


def _shown(name: str, value: str | None) -> str:
    """Write a setting's value for people; that of a password not at all."""
    return "(a secret)" if value and re.search("pass|auth", name) else json.dumps(value, ensure_ascii=False)


class FilterModule:
    """The filters of this file, by the names playbooks use."""

    def filters(self) -> dict[str, Any]:
        """Return the filters by name."""
        return {"redis_acl": redis_acl, "redis_differences": redis_differences}
