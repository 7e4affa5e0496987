# SPDX-License-Identifier: MIT
"""What makes a certificate and its key usable for a web server: pure functions over PEM text.

Shared by the module `tls_certificates` (on the target) and the filter `tls_pair_problems` (on the controller).
Works with every release of `cryptography` from 38 (Debian 12) on: newer calls are only used where they exist.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

    HAS_CRYPTOGRAPHY = True
except ImportError:
    HAS_CRYPTOGRAPHY = False

RSA_MINIMUM_BITS = 2048
EC_MINIMUM_BITS = 256

_CERTIFICATE_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY_BLOCK = re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----.+?-----END (?:[A-Z]+ )*PRIVATE KEY-----", re.DOTALL)


def certificate_blocks(text: str) -> list[str]:
    """Return every PEM certificate of *text*, in order."""
    return _CERTIFICATE_BLOCK.findall(text)


def key_blocks(text: str) -> list[str]:
    """Return every PEM private key of *text*, in order."""
    return _KEY_BLOCK.findall(text)


def load_chain(text: str) -> list[Any]:
    """Parse every certificate of *text*.

    :raises ValueError: when there is none, or one cannot be parsed.
    """
    blocks = certificate_blocks(text)
    if not blocks:
        raise ValueError("holds no PEM certificate")
    try:
        return [x509.load_pem_x509_certificate(block.encode()) for block in blocks]
    except ValueError:
        raise ValueError("holds a certificate that cannot be parsed") from None


def load_key(text: str) -> Any:
    """Parse the one private key of *text*.

    :raises ValueError: when there is not exactly one, when a passphrase protects it, or when it cannot be parsed.
    """
    blocks = key_blocks(text)
    if len(blocks) != 1:
        raise ValueError(f"holds {len(blocks)} PEM private keys instead of one")
    try:
        return serialization.load_pem_private_key(blocks[0].encode(), password=None)
    except TypeError:
        # What cryptography raises for a key that needs a password and gets none.
        raise ValueError("is protected by a passphrase, which nobody could type when the server starts") from None
    except (ValueError, UnsupportedAlgorithm):
        # The original message is dropped on purpose: a parser may quote what it read.
        raise ValueError("holds a private key that cannot be parsed") from None


def valid_from(certificate: Any) -> dt.datetime:
    """Return the start of the certificate's validity, in UTC."""
    if hasattr(certificate, "not_valid_before_utc"):
        moment: dt.datetime = certificate.not_valid_before_utc
        return moment
    naive: dt.datetime = certificate.not_valid_before
    return naive.replace(tzinfo=dt.UTC)


def valid_until(certificate: Any) -> dt.datetime:
    """Return the end of the certificate's validity, in UTC."""
    if hasattr(certificate, "not_valid_after_utc"):
        moment: dt.datetime = certificate.not_valid_after_utc
        return moment
    naive: dt.datetime = certificate.not_valid_after
    return naive.replace(tzinfo=dt.UTC)


def fingerprint(certificate: Any) -> str:
    """Return the SHA-256 fingerprint of a certificate as 64 hexadecimal digits."""
    return str(certificate.fingerprint(hashes.SHA256()).hex())


def same_key(certificate: Any, key: Any) -> bool:
    """Say whether *key* is the private half of the certificate's public key."""
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return bool(certificate.public_key().public_bytes(*form) == key.public_key().public_bytes(*form))


def normal_name(name: str) -> str:
    """Write a host name or an address in its one comparable form (lower case; addresses compressed)."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def is_address(name: str) -> bool:
    """Say whether *name* is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def certificate_names(certificate: Any) -> set[str]:
    """Return the DNS names and addresses a certificate is for.

    Only the subject alternative names count: browsers have ignored the common name for years (RFC 9110, 4.3.4).
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {normal_name(n) for n in names.get_values_for_type(x509.DNSName)} | {
        str(a) for a in names.get_values_for_type(x509.IPAddress)
    }


def covers(names: Iterable[str], wanted: str) -> bool:
    """Say whether a certificate for *names* is valid for *wanted*; a wildcard stands for exactly one label."""
    known = set(names)
    wanted = normal_name(wanted)
    if wanted in known:
        return True
    _, dot, parent = wanted.partition(".")
    return bool(dot) and not is_address(wanted) and f"*.{parent}" in known


def for_servers(certificate: Any) -> bool:
    """Say whether a server may use the certificate: it says so, or does not say what it is for."""
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return bool({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages))


def has_intermediate(certificate: Any) -> bool:
    """Say whether the certificate tells where its issuer's can be fetched, as those of public authorities do.

    They are issued by an authority that no client knows. One of a private authority may well need no chain.
    """
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS for entry in access)


def chain_digest(certificates: Iterable[Sequence[Any]]) -> str:
    """Digest several certificate chains: another certificate anywhere gives another digest (16 hexadecimal digits)."""
    text = "\n".join(",".join(fingerprint(certificate) for certificate in chain) for chain in certificates)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _key_problems(key: Any) -> list[str]:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < RSA_MINIMUM_BITS:
            return [f"the RSA key has {key.key_size} bits, fewer than {RSA_MINIMUM_BITS}"]
        return []
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.key_size < EC_MINIMUM_BITS:
            return [f"the curve {key.curve.name} is weaker than {EC_MINIMUM_BITS} bits"]
        return []
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return ["Ed25519 keys are not understood by common browsers; use ECDSA P-256 or RSA"]
    return ["the key is neither an RSA nor an elliptic curve key"]


def dated_problems(certificate_pem: str, now: dt.datetime) -> list[str]:
    """Say whether it is too early or too late for a certificate: what comes by itself, and goes with another one."""
    try:
        leaf = load_chain(certificate_pem)[0]
    except ValueError:
        return []
    if valid_from(leaf) > now:
        return [f"the certificate is not valid before {valid_from(leaf):%Y-%m-%d %H:%M} UTC"]
    if valid_until(leaf) <= now:
        return [f"the certificate expired on {valid_until(leaf):%Y-%m-%d %H:%M} UTC"]
    return []


def pair_problems(
    certificate_pem: str, key_pem: str, names: Iterable[str], now: dt.datetime | None = None, *, dated: bool = True
) -> list[str]:
    """Say everything that is wrong with an operator's certificate and key; an empty list means usable.

    :param certificate_pem: the certificate, followed by its chain, in PEM.
    :param key_pem: its private key in PEM, without a passphrase. It never appears in an answer.
    :param names: host names and addresses that it must be valid for.
    :param now: time to judge by, with a time zone; default: the clock.
    :param dated: whether a certificate that has ended, or has not begun, is a problem.
    """
    now = now or dt.datetime.now(dt.UTC)
    problems: list[str] = []
    chain: list[Any] = []
    key: Any = None
    try:
        chain = load_chain(certificate_pem)
    except ValueError as error:
        problems.append(f"the certificate file {error}")
    try:
        key = load_key(key_pem)
    except ValueError as error:
        problems.append(f"the key file {error}")
    if key is not None:
        problems += _key_problems(key)
    if chain and key is not None:
        problems += _ownership_problems(chain, key)
    if chain and dated:
        problems += dated_problems(certificate_pem, now)
    if chain:
        problems += _chain_problems(chain, names)
    return problems


def _ownership_problems(chain: Sequence[Any], key: Any) -> list[str]:
    if same_key(chain[0], key):
        return []
    if any(same_key(other, key) for other in chain[1:]):
        return ["the server's own certificate must come first in the certificate file, before its chain"]
    return ["the key does not belong to the certificate"]


def _chain_problems(chain: Sequence[Any], names: Iterable[str]) -> list[str]:
    problems = []
    leaf = chain[0]
    algorithm = leaf.signature_hash_algorithm
    if algorithm is not None and algorithm.name in ("md5", "sha1"):
        problems.append(f"the certificate is signed with {algorithm.name.upper()}, which browsers refuse")
    known = certificate_names(leaf)
    missing = [name for name in names if not covers(known, name)]
    if missing:
        valid_for = ", ".join(sorted(known)) or "no name at all"
        problems.append(f"the certificate is not valid for {', '.join(missing)} (it is valid for {valid_for})")
    if not for_servers(leaf):
        problems.append(
            "the certificate is not for servers: its extended key usage lacks serverAuth; ask for another one"
        )
    if len(chain) == 1 and has_intermediate(leaf):
        problems.append(
            "the chain is missing: add the certificates of the authorities between this one and the root "
            "(fullchain.pem in place of cert.pem)"
        )
    if any(issued.issuer != issuer.subject for issued, issuer in itertools.pairwise(chain)):
        problems.append("the chain is out of order: each certificate must be followed by its issuer's")
    return problems
