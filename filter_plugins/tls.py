# SPDX-License-Identifier: MIT
"""Filters about TLS certificates, for checks on the controller before anything is touched."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.errors import AnsibleFilterError


def _shared() -> ModuleType:
    """Load the certificates role's module_utils: Ansible puts them on a module's path, but not on a filter's."""
    path = Path(__file__).resolve().parent.parent / "roles" / "certificates" / "module_utils" / "tls_pairs.py"
    spec = importlib.util.spec_from_file_location("pressdock_tls_pairs", path)
    if spec is None or spec.loader is None:
        raise AnsibleFilterError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tls_pair_problems(certificate: str, key: str, names: Iterable[str]) -> list[str]:
    """Say everything that is wrong with an operator's certificate and key; an empty list means usable.

    But for its dates: a certificate ends by itself, and then it is no reason to leave everything else as it is. The
    module `tls_certificates` looks after those.

    :param certificate: the certificate, followed by its chain, in PEM.
    :param key: its private key in PEM, without a passphrase.
    :param names: host names and addresses that it must be valid for.
    :raises AnsibleFilterError: when an argument is no text, or names is no list of texts.
    """
    if not isinstance(certificate, str) or not isinstance(key, str):
        raise AnsibleFilterError("tls_pair_problems: certificate and key must be PEM text")
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise AnsibleFilterError("tls_pair_problems: names must be a list of host names")
    shared = _shared()
    if not shared.HAS_CRYPTOGRAPHY:
        raise AnsibleFilterError("tls_pair_problems: the Python library cryptography is missing on the controller")
    return list(shared.pair_problems(certificate, key, names, dated=False))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"tls_pair_problems": tls_pair_problems}
