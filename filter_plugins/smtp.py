# SPDX-License-Identifier: MIT
"""The relay that takes a site's mail: its settings completed, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

ENCRYPTIONS = ("starttls", "tls", "none")
PORT = 587
AUTHORITY_FILE = "/run/secrets/smtp.crt"
"""Where the container finds the relay's certificate authority."""
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]{0,251}[A-Za-z0-9])?")
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]*")


def smtp_relay(site: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a site's relay, every one of them; empty for a site that sends no mail.

    :param site: an entry of ``wordpress_sites``; its ``smtp`` replaces the common one as a whole.
    :param common: ``wordpress_smtp``.
    """
    declared = site["smtp"] if site.get("smtp") is not None else common
    if not isinstance(declared, Mapping):
        raise AnsibleFilterError("smtp_relay: the settings of a relay must be a dict")
    if not declared:
        return {}
    return {
        "host": str(declared["host"]),
        "port": int(declared.get("port", PORT)),
        "encryption": str(declared.get("encryption", "starttls")),
        "login": str(declared.get("login", "")),
        "password": str(declared.get("password", "")),
        "from": str(declared["from"]),
        "from_name": str(declared.get("from_name", "")),
        "certificate_authority": AUTHORITY_FILE if declared.get("certificate_authority") else "",
    }


def smtp_problems(place: str, declared: Any, outbound: bool = True) -> list[str]:
    """Say what is wrong with a relay's settings, a line each. Types are checked against the argument specification.

    :param place: the settings' name, such as ``wordpress_smtp``.
    :param outbound: whether sites reach other machines (``wordpress_outbound``).
    """
    if not isinstance(declared, Mapping) or not declared:
        return []
    problems = [f"{place}.{key}: missing" for key in ("host", "from") if not declared.get(key)]
    host, sender, encryption = declared.get("host"), declared.get("from"), declared.get("encryption", "starttls")
    if host and not (isinstance(host, str) and HOST.fullmatch(host)):
        problems.append(f"{place}.host: {host!r}: must be a host name or an address")
    if sender and not (isinstance(sender, str) and ADDRESS.fullmatch(sender)):
        problems.append(f"{place}.from: {sender!r}: must be an e-mail address")
    name = declared.get("from_name", "")
    if isinstance(name, str) and re.search(r"[\x00-\x1f\x7f]", name):
        problems.append(f"{place}.from_name: {name!r}: must not contain line breaks or other control characters")
    port = declared.get("port", PORT)
    if str(port).isdigit() and not 1 <= int(port) <= 65535:
        problems.append(f"{place}.port: {port}: a port is a number from 1 to 65535")
    if bool(declared.get("login")) != bool(declared.get("password")):
        problems.append(f"{place}: login and password belong together: give both or none")
    if encryption == "none" and declared.get("login"):
        problems.append(f"{place}.encryption: none: the password would travel in clear: take starttls or tls")
    if encryption == "none" and declared.get("certificate_authority"):
        problems.append(f"{place}.certificate_authority: nothing is checked with encryption none")
    problems += [
        f"{place}.{key}: must not contain NUL or line breaks"
        for key in ("login", "password")
        if isinstance(declared.get(key), str) and re.search(r"[\x00\r\n]", declared[key])
    ]
    if not outbound:
        problems.append(
            f"{place}: wordpress_outbound is false: sites do not reach a relay; set it to true, or take this out"
        )
    return problems


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"smtp_relay": smtp_relay}
