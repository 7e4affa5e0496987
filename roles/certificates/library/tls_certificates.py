#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Keep a certificate authority and the server certificates of a stack."""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.tls_pairs import (
    HAS_CRYPTOGRAPHY,
    certificate_blocks,
    certificate_names,
    chain_digest,
    dated_problems,
    fingerprint,
    is_address,
    key_blocks,
    load_chain,
    load_key,
    normal_name,
    pair_problems,
    same_key,
    valid_from,
    valid_until,
)
from ansible.module_utils.whole_files import TEMPORARY_PREFIX, make_directory, replace_file

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError:
    pass  # HAS_CRYPTOGRAPHY is false then, and main() stops.

DOCUMENTATION = r"""
module: tls_certificates
short_description: Keep a certificate authority and the server certificates of a stack
description:
  - Makes a certificate authority once, and keeps one server certificate per entry, signed by it or given by the
    operator.
  - A store is the directory with one service's certificates. One run looks after all stores, because a module run costs
    more than all the work inside. What is declared of all of them is checked before anything is written.
  - Each certificate is one file, C(NAME.pem), with the private key and the chain. One file can be replaced in one
    step, so a server that starts at any moment never finds a key beside another key's certificate.
  - The authority is never replaced. A broken one is an error that says what to do.
attributes:
  check_mode:
    support: full
    description: Nothing is written; RV(stores.digest) is C(unissued) where it cannot be known beforehand.
  diff_mode:
    support: full
    description: Shows names and dates, never a key.
  idempotent:
    support: full
requirements: ["cryptography >= 38 on the target (package python3-cryptography)"]
options:
  authority_directory:
    description: Directory for C(ca.key) (0600) and C(ca.crt) (0644), owned by root.
    type: path
    required: true
  organization:
    description: Name of the stack, for the authority's subject.
    type: str
    required: true
  authority_days:
    description: Validity of a new authority, in days.
    type: int
    default: 3650
  certificate_days:
    description:
      - Validity of a server certificate, in days. It never outlives the authority. One of the authority's that is valid
        for longer is issued again.
    type: int
    default: 366
  renew_days:
    description: A certificate that is valid for fewer days than this is issued again.
    type: int
    default: 60
  warn_days:
    description: The operator's certificates that are valid for fewer days than this are in RV(ending).
    type: int
    default: 30
  stores:
    description: The stores.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the store, for instance that of the service that reads it.
        type: str
        required: true
      directory:
        description: Directory for the server certificates. In it are only files called C(*.pem) of this store.
        type: path
        required: true
      uid:
        description: User id that owns the server certificates (mode 0400).
        type: int
        required: true
      gid:
        description: Group id of the server certificates.
        type: int
        required: true
      remove_undeclared:
        description: Remove files called C(*.pem) that are not declared. Otherwise RV(stores.undeclared) names them.
        type: bool
        default: true
      certificates:
        description: The server certificates.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the file, without C(.pem).
            type: str
            required: true
          domains:
            description: Host names and addresses that it is valid for.
            type: list
            elements: str
            required: true
          certificate:
            description: The operator's own certificate and chain, PEM. Empty for one of the authority.
            type: str
            default: ""
          key:
            description: The private key of O(stores[].certificates[].certificate), PEM without a passphrase.
            type: str
            default: ""
"""

EXAMPLES = r"""
- name: Keep the certificates
  tls_certificates:
    authority_directory: /srv/shop/ca
    organization: shop
    stores:
      - name: web
        directory: /srv/shop/tls
        uid: 612
        gid: 612
        certificates:
          - name: shop
            domains: [shop.example.org, www.shop.example.org]
"""

RETURN = r"""
changes:
  description: What was (or would be) changed, one sentence each. A run that fails names what it had done by then.
  type: list
  elements: str
  returned: always
  sample: ["web/shop: issued for shop.example.org (missing)"]
stores:
  description: The stores by name.
  type: dict
  returned: always
  contains:
    digest:
      description: Digest over all certificates of the store as they are now on the target and when each was written;
        C(unissued) in check mode where it would change.
      type: str
      returned: always
    certificates:
      description: For each name its C(fingerprint) (SHA-256, hexadecimal), C(not_after) (ISO 8601, UTC), C(domains),
        C(source), and C(key_type) (C(EC) or C(RSA), empty where it is not known yet).
      type: dict
      returned: always
    ended:
      description: Those of the operator's certificates that have ended, or not begun, by their names; each with the
        C(reason), and what C(serves) in its place.
      type: dict
      returned: always
    undeclared:
      description: Names of the files that are not declared and were left where they are.
      type: list
      elements: str
      returned: always
ending:
  description: The operator's certificates that end soon, each with C(part) (its name) and C(what) (a line for him).
  type: list
  elements: dict
  returned: always
authority:
  description:
    - The authority's C(path), C(fingerprint), C(not_after) and C(certificate) (PEM; empty where it is not made yet).
  type: dict
  returned: always
library_missing:
  description: True when cryptography is missing on the target. Then nothing was looked at.
  type: bool
  returned: always
"""

UNISSUED = "unissued"
AUTHORITY = "the certificate authority"
COMMON_NAME_LIMIT = 64
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""New certificates are valid from a little before now, so that a client whose clock is behind takes them."""
LAST_SECOND = dt.timedelta(seconds=1)
"""Both ends of a validity are part of it (RFC 5280, 4.1.2.5)."""


class CertificateError(Exception):
    """Something the operator has to decide or to mend; the message is for him."""


class Authority(NamedTuple):
    """The certificate authority."""

    key: Any
    certificate: Any


class Current(NamedTuple):
    """A usable file of the target: its text and its parsed chain."""

    text: str
    chain: list[Any]


def normal_names(entry: dict[str, Any]) -> list[str]:
    """Return what a certificate is declared to be for, in the one comparable form."""
    return [normal_name(domain) for domain in entry["domains"]]


def utc_now() -> dt.datetime:
    """Return the time, to the second."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def key_text(key: Any) -> str:
    """Write a private key as PEM."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(key.private_bytes(*form).decode())


def certificate_text(certificate: Any) -> str:
    """Write a certificate as PEM."""
    return str(certificate.public_bytes(serialization.Encoding.PEM).decode())


def key_usage(**uses: bool) -> Any:
    """Build a key usage extension: everything that is not named is false."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: uses.get(name, False) for name in names})


def new_authority(key: Any, organization: str, days: int, now: dt.datetime) -> Any:
    """Make the certificate of an authority that may sign server certificates and nothing further down."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization[:COMMON_NAME_LIMIT]),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{organization} certificate authority"[:COMMON_NAME_LIMIT]),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def new_certificate(key: Any, domains: list[str], authority: Authority, days: int, now: dt.datetime) -> Any:
    """Make a server certificate. The first domain is also its common name, where it is short enough for one."""
    since = max(now - CLOCK_TOLERANCE, valid_from(authority.certificate))
    # Counted from its beginning: a limit of clients or profiles is one on the whole.
    until = min(since + dt.timedelta(days=days) - LAST_SECOND, valid_until(authority.certificate))
    common_name = [d for d in domains[:1] if len(d) <= COMMON_NAME_LIMIT]
    issuer_key = authority.certificate.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common_name]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(d)) if is_address(d) else x509.DNSName(d) for d in domains]
            ),
            critical=not common_name,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def signed_by(certificate: Any, authority: Any) -> bool:
    """Say whether *authority* (a certificate with an elliptic curve key) signed *certificate*."""
    if certificate.issuer != authority.subject:
        return False
    try:
        authority.public_key().verify(
            certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(certificate.signature_hash_algorithm)
        )
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def key_type(certificate: Any) -> str:
    """Name the kind of a certificate's key: servers take elliptic curves and RSA under different settings."""
    return "EC" if isinstance(certificate.public_key(), ec.EllipticCurvePublicKey) else "RSA"


def read_text(path: Path) -> str | None:
    """Read a regular file; None when there is none (a link or a directory in its place counts as none)."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        return path.read_bytes().decode("ascii", errors="replace")
    except FileNotFoundError:
        return None


def leftovers(directory: Path) -> list[Path]:
    """Return what an earlier run that was killed while writing left behind."""
    return sorted(directory.glob(f"{TEMPORARY_PREFIX}*")) if directory.is_dir() else []


def refuse_place(label: str, directory: Path) -> None:
    """Check that a directory is one, or can be made: a check run makes none and would not notice.

    :raises CertificateError: when the operator has to mend it.
    """
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if directory.is_symlink():
        raise CertificateError(f"{label}: {directory} is a link; remove it")
    if not there.is_dir():
        raise CertificateError(f"{label}: {there} is no directory; remove it")


def refuse_directory(label: str, path: Path) -> None:
    """Check that what is to be replaced or removed is no directory (a link to one is none).

    :raises CertificateError: when the operator has to mend it.
    """
    if path.is_dir() and not path.is_symlink():
        raise CertificateError(f"{label}: {path} is a directory; remove it")


class Target:
    """The target's files. What differs from what is declared is mended unless *check* is set, and noted.

    In this order: a run that fails answers with what it has done, not with what it could not do.
    """

    def __init__(self, check: bool) -> None:
        """Begin with nothing noted."""
        self.check = check
        self.changes: list[str] = []
        self.warnings: list[str] = []
        self.before: list[str] = []
        self.after: list[str] = []

    def keep_directory(self, path: Path, uid: int, gid: int, mode: int) -> None:
        """Make a directory, or mend its owner and mode."""
        if not path.exists():
            if not self.check:
                make_directory(path, mode=mode, owner=uid, group=gid)
            self.changes.append(f"{path}: created")
            return
        self.keep_mode(path, uid, gid, mode)

    def keep_mode(self, path: Path, uid: int, gid: int, mode: int) -> None:
        """Mend the owner and the mode of what is there."""
        status = path.lstat()
        if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (uid, gid, mode):
            return
        if not self.check:
            os.chown(path, uid, gid, follow_symlinks=False)
            path.chmod(mode)
        self.changes.append(
            f"{path}: owner and mode {status.st_uid}:{status.st_gid} {stat.S_IMODE(status.st_mode):04o}"
            f" -> {uid}:{gid} {mode:04o}"
        )

    def remove_leftovers(self, directory: Path) -> None:
        """Remove what an earlier run that was killed while writing left behind."""
        for path in leftovers(directory):
            if not self.check:
                path.unlink(missing_ok=True)
            self.changes.append(f"{path}: removed (left behind by a run that was cut off)")


class AuthorityKeeper:
    """Keeps the certificate authority. A broken one is never replaced."""

    def __init__(self, parameters: dict[str, Any], target: Target, now: dt.datetime) -> None:
        """Remember what is declared; nothing is looked at yet."""
        self.parameters = parameters
        self.target = target
        self.now = now
        self.directory = Path(parameters["authority_directory"])
        self.result: dict[str, Any] = {}

    def refuse_nonsense(self) -> None:
        """Check the authority's place. Nothing is written.

        :raises CertificateError: when the operator has to mend it.
        """
        refuse_place(AUTHORITY, self.directory)
        for path in (*self._paths(), *leftovers(self.directory)):
            refuse_directory(AUTHORITY, path)

    def _paths(self) -> tuple[Path, Path]:
        return self.directory / "ca.key", self.directory / "ca.crt"

    def keep(self) -> Authority | None:
        """Make the authority where there is none; read it otherwise. None in check mode before its key exists.

        :raises CertificateError: when the operator has to mend it.
        """
        self.target.keep_directory(self.directory, 0, 0, 0o755)
        key_path, certificate_path = self._paths()
        advice = (
            f"Put the right files back into {self.directory} (from a backup), or move both away to get a new authority,"
            " which every client then has to be told to trust."
        )
        self.target.remove_leftovers(self.directory)
        stored_key, stored_certificate = read_text(key_path), read_text(certificate_path)
        if stored_key is None and stored_certificate is not None:
            raise CertificateError(f"{certificate_path} is there, but its key {key_path} is not. {advice}")
        if stored_certificate is None:
            # A key alone is what a crash between the two writes leaves: its certificate is simply made now.
            return self._complete(key_path, certificate_path, stored_key, advice)
        try:
            key = load_key(stored_key or "")
            certificate = load_chain(stored_certificate)[0]
        except ValueError as error:
            raise CertificateError(
                f"The certificate authority in {self.directory} is broken: {error}. {advice}"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{key_path} is not an elliptic curve key. {advice}")
        if not same_key(certificate, key):
            raise CertificateError(f"{key_path} does not belong to {certificate_path}. {advice}")
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
            may_sign = constraints.ca
        except x509.ExtensionNotFound:
            may_sign = False
        if not may_sign:
            raise CertificateError(f"{certificate_path} is not the certificate of an authority. {advice}")
        left = (valid_until(certificate) - self.now).days
        if valid_until(certificate) <= self.now:
            raise CertificateError(
                f"{certificate_path} expired on {valid_until(certificate):%Y-%m-%d}. Move {key_path} and"
                f" {certificate_path} away to get a new authority, which every client then has to be told to trust."
            )
        if left < self.parameters["renew_days"]:
            self.target.warnings.append(f"{certificate_path} expires in {left} days; no certificate can outlive it")
        self.target.keep_mode(key_path, 0, 0, 0o600)
        self.target.keep_mode(certificate_path, 0, 0, 0o644)
        self._note(certificate_path, certificate)
        return Authority(key, certificate)

    def _complete(
        self, key_path: Path, certificate_path: Path, stored_key: str | None, advice: str
    ) -> Authority | None:
        key = self._stored_key(key_path, stored_key, advice) if stored_key is not None else None
        authority = None
        # In check mode nothing is known of it: each one that is made is another.
        self.result = {"path": str(certificate_path), "fingerprint": "", "not_after": "", "certificate": ""}
        if key is not None:
            self.target.keep_mode(key_path, 0, 0, 0o600)
        elif not self.target.check:
            key = ec.generate_private_key(ec.SECP256R1())
            replace_file(key_path, key_text(key).encode(), mode=0o600, owner=0, group=0)
        days = self.parameters["authority_days"]
        if key is not None:
            # Also a certificate that is not written tells which ones its key has signed: they stay.
            authority = Authority(key, new_authority(key, self.parameters["organization"], days, self.now))
            if not self.target.check:
                text = certificate_text(authority.certificate)
                replace_file(certificate_path, text.encode(), mode=0o644, owner=0, group=0)
                self._note(certificate_path, authority.certificate)
        self.target.changes.append(f"{certificate_path}: made a certificate authority ({days} days)")
        self.target.after.append(f"authority: {self.parameters['organization']} certificate authority")
        return authority

    @staticmethod
    def _stored_key(path: Path, text: str, advice: str) -> Any:
        """Load a key whose certificate is missing."""
        try:
            key = load_key(text)
        except ValueError as error:
            raise CertificateError(f"{path} {error}. {advice}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateError(f"{path} is not an elliptic curve key. {advice}")
        return key

    def _note(self, path: Path, certificate: Any) -> None:
        self.result = {
            "path": str(path),
            "fingerprint": fingerprint(certificate),
            "not_after": valid_until(certificate).isoformat(),
            "certificate": certificate_text(certificate),
        }


class StoreKeeper:
    """Keeps the certificates of one store."""

    def __init__(self, parameters: dict[str, Any], target: Target, now: dt.datetime) -> None:
        """Remember what is declared; nothing is looked at yet.

        :param parameters: those of the store, beside those that all stores share.
        """
        self.parameters = parameters
        self.target = target
        self.now = now
        self.directory = Path(parameters["directory"])
        self.result: dict[str, dict[str, Any]] = {}
        self.undeclared: list[str] = []
        self.ended: dict[str, dict[str, str]] = {}

    def refuse_nonsense(self) -> None:
        """Check all that is declared of the store, the operator's own pairs too, and its place. Nothing is written.

        :raises CertificateError: when the operator has to decide or to mend something.
        """
        names = [entry["name"] for entry in self.parameters["certificates"]]
        for name in names:
            if not FILE_NAME.fullmatch(name):
                raise CertificateError(
                    f"{self.parameters['name']}: {name!r} is no name for a file (letters, digits, - and _)"
                )
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise CertificateError(f"{self.parameters['name']}: declared twice: {', '.join(doubled)}")
        refuse_place(self.parameters["name"], self.directory)
        for entry in self._entries():
            self._refuse_entry(entry)
        removed = self._undeclared_files() if self.parameters["remove_undeclared"] else []
        for path in (*removed, *leftovers(self.directory)):
            refuse_directory(self.parameters["name"], path)

    def keep(self, authority: Authority | None) -> dict[str, Any]:
        """Look after the certificates, which `refuse_nonsense` has let pass, and return what the module answers."""
        if not self.directory.exists():
            # Whoever mounts it decides about its owner and mode from then on; here it only must exist.
            self.target.keep_directory(self.directory, self.parameters["uid"], self.parameters["gid"], 0o755)
        chains = [self._keep_certificate(entry, authority) for entry in self._entries()]
        self._remove_undeclared()
        known = [chain for chain in chains if chain is not None]
        return {
            "digest": self._digest(known) if len(known) == len(chains) else UNISSUED,
            "certificates": self.result,
            "undeclared": self.undeclared,
            "ended": self.ended,
        }

    def _refuse_entry(self, entry: dict[str, Any]) -> None:
        label = self._label(entry)
        if not entry["domains"]:
            raise CertificateError(f"{label}: domains is empty")
        for domain in entry["domains"]:
            if not is_address(domain) and not re.fullmatch(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", domain):
                raise CertificateError(f"{label}: {domain!r} is neither a host name (ASCII form) nor an address")
        if bool(entry["certificate"]) != bool(entry["key"]):
            raise CertificateError(f"{label}: certificate and key must be given together")
        if entry["certificate"]:
            problems = pair_problems(entry["certificate"], entry["key"], normal_names(entry), self.now, dated=False)
            if problems:
                raise CertificateError(f"{label}: {'; '.join(problems)}")
        refuse_directory(label, self._path(entry))

    def _label(self, entry: dict[str, Any]) -> str:
        """Name a certificate: two stores may have one of the same name."""
        return f"{self.parameters['name']}/{entry['name']}"

    def _path(self, entry: dict[str, Any]) -> Path:
        return self.directory / f"{entry['name']}.pem"

    def _entries(self) -> list[dict[str, Any]]:
        return sorted(self.parameters["certificates"], key=lambda entry: entry["name"])

    def _digest(self, chains: list[list[Any]]) -> str:
        """Digest the files as a server that starts now reads them.

        When each was written last is part of it. A server that was started while a wrong file lay there still has the
        wrong certificate after the right one is back, and has to be replaced although the content is what it was.
        """
        written = [self._path(entry).stat().st_mtime_ns for entry in self._entries()]
        return hashlib.sha256(f"{chain_digest(chains)} {written}".encode()).hexdigest()[:16]

    def _keep_certificate(self, entry: dict[str, Any], authority: Authority | None) -> list[Any] | None:
        """Look after one file; return its chain, or None in check mode where it would be issued."""
        path, label = self._path(entry), self._label(entry)
        entry = {**entry, "domains": normal_names(entry)}
        given = self._given_text(entry)
        text = read_text(path)
        untimely = dated_problems(entry["certificate"], self.now) if given else []
        current, reason = (
            self._compare_given(text, given)
            if given and not untimely
            else self._compare_issued(text, entry["domains"], authority)
        )
        if untimely:
            # What is there stays while it can be used; so does the same one, whose end visitors know already.
            if reason and (text == given or self._usable(text, entry["domains"])):
                current, reason = self._parse(text), ""
            serves = "one of the stack's own authority" if reason else "the certificate that was there before"
            self.ended[entry["name"]] = {"reason": untimely[0], "serves": serves}
            given = ""
        self._describe(self.target.before, label, None if current is None else current.chain)
        if reason:
            verb = "wrote the given certificate for" if given else "issued for"
            done = f"{label}: {verb} {', '.join(entry['domains'])}"
            if not self.target.check:
                current = self._replace(path, entry, given, authority)
            self.target.changes.append(f"{done} ({reason})")
            if self.target.check:
                self.target.after.append(done)
                self.result[entry["name"]] = self._answer(entry, None)
                return None
        elif current is not None:
            self.target.keep_mode(path, self.parameters["uid"], self.parameters["gid"], 0o400)
        chain = current.chain if current else None
        self._describe(self.target.after, label, chain)
        self.result[entry["name"]] = self._answer(entry, chain)
        return chain

    def _replace(self, path: Path, entry: dict[str, Any], given: str, authority: Authority | None) -> Current:
        text = given
        if not given:
            if authority is None:  # only in check mode, where nothing is replaced
                raise CertificateError("there is no certificate authority to issue with")
            key = ec.generate_private_key(ec.SECP256R1())
            days = self.parameters["certificate_days"]
            certificate = new_certificate(key, list(dict.fromkeys(entry["domains"])), authority, days, self.now)
            text = key_text(key) + certificate_text(certificate)
        owner, group = self.parameters["uid"], self.parameters["gid"]
        replace_file(path, text.encode(), mode=0o400, owner=owner, group=group)
        return Current(text, load_chain(text))

    @staticmethod
    def _given_text(entry: dict[str, Any]) -> str:
        """Write the operator's own pair as one file; empty when there is none."""
        if not entry["certificate"]:
            return ""
        return "\n".join([*key_blocks(entry["key"]), *certificate_blocks(entry["certificate"])]) + "\n"

    def _compare_given(self, text: str | None, given: str) -> tuple[Current | None, str]:
        current = self._parse(text)
        if text == given:
            return current, ""
        return current, "missing" if text is None else "another one is in its place"

    def _compare_issued(
        self, text: str | None, domains: list[str], authority: Authority | None
    ) -> tuple[Current | None, str]:
        """Parse what is there, and say why it cannot stay (an empty reason: it can)."""
        if text is None:
            return None, "missing"
        current = self._parse(text)
        if current is None:
            return None, "unreadable"
        leaf = current.chain[0]
        if not same_key(leaf, load_key(text)):
            return current, "its key belongs to another certificate"
        if authority is None or not signed_by(leaf, authority.certificate):
            return current, "not signed by the stack's certificate authority"
        if certificate_names(leaf) != set(domains):
            return current, f"was for {', '.join(sorted(certificate_names(leaf))) or 'no name'}"
        if valid_from(leaf) > self.now:
            return current, f"not valid before {valid_from(leaf):%Y-%m-%d}"
        if valid_until(leaf) <= self.now:
            return current, f"expired on {valid_until(leaf):%Y-%m-%d}"
        left = valid_until(leaf) - self.now
        # One that already lasts as long as the authority cannot be improved.
        improvable = valid_until(leaf) < valid_until(authority.certificate)
        if left < dt.timedelta(days=self.parameters["renew_days"]) and improvable:
            return current, f"expires in {left.days} days"
        lifetime = valid_until(leaf) - valid_from(leaf) + LAST_SECOND
        if lifetime > dt.timedelta(days=self.parameters["certificate_days"]):
            return current, f"was valid for {math.ceil(lifetime / dt.timedelta(days=1))} days in all"
        return current, ""

    def _parse(self, text: str | None) -> Current | None:
        if text is None:
            return None
        try:
            load_key(text)
            return Current(text, load_chain(text))
        except ValueError:
            return None

    def _usable(self, text: str | None, domains: list[str]) -> bool:
        """Say whether a server can go on with a file, whoever it is from."""
        return text is not None and not pair_problems(text, text, domains, self.now)

    def _undeclared_files(self) -> list[Path]:
        return sorted({*self.directory.glob("*.pem")} - {self._path(entry) for entry in self._entries()})

    def _remove_undeclared(self) -> None:
        for path in self._undeclared_files():
            if not self.parameters["remove_undeclared"]:
                self.undeclared.append(path.name)
                continue
            if not self.target.check:
                path.unlink()
            self.target.changes.append(f"{path}: removed (not declared)")
            self.target.before.append(f"{self.parameters['name']}/{path.stem}: not declared")
        self.target.remove_leftovers(self.directory)

    def _answer(self, entry: dict[str, Any], chain: list[Any] | None) -> dict[str, Any]:
        return {
            "fingerprint": fingerprint(chain[0]) if chain else "",
            "not_after": valid_until(chain[0]).isoformat() if chain else "",
            "domains": entry["domains"],
            "source": "operator" if entry["certificate"] else "authority",
            "key_type": key_type(chain[0]) if chain else "",
        }

    @staticmethod
    def _describe(lines: list[str], name: str, chain: list[Any] | None) -> None:
        if chain:
            names = ", ".join(sorted(certificate_names(chain[0])))
            lines.append(f"{name}: {names}, until {valid_until(chain[0]):%Y-%m-%d}, {fingerprint(chain[0])}")


def ending(stores: dict[str, dict[str, Any]], days: int, now: dt.datetime) -> list[dict[str, str]]:
    """List the operator's certificates that are valid, and for fewer *days*. One that two stores have is told once."""
    found: dict[str, dict[str, str]] = {}
    for store, kept in sorted(stores.items()):
        for name, entry in sorted(kept["certificates"].items()):
            if entry["source"] != "operator" or not entry["not_after"] or name in kept["ended"]:
                continue
            end = dt.datetime.fromisoformat(entry["not_after"])
            left = (end - now).days
            if left < days:
                what = (
                    f"ends on {end:%Y-%m-%d}, in {left} day{'' if left == 1 else 's'} ({', '.join(entry['domains'])}):"
                    " put the next one where `tls` names its files, and run again"
                )
                found.setdefault(entry["fingerprint"], {"part": f"certificate {name} of {store}", "what": what})
    return list(found.values())


def refuse_nonsense(parameters: dict[str, Any]) -> None:
    """Check what all stores share, and that they are apart.

    :raises CertificateError: when the operator has to decide.
    """
    if not 0 <= parameters["renew_days"] < parameters["certificate_days"]:
        raise CertificateError("renew_days must be at least 0 and less than certificate_days")
    if parameters["authority_days"] < parameters["certificate_days"]:
        raise CertificateError("authority_days must not be less than certificate_days")
    names = [store["name"] for store in parameters["stores"]]
    for name in names:
        if not FILE_NAME.fullmatch(name):
            raise CertificateError(f"stores: {name!r} is no name (letters, digits, - and _)")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise CertificateError(f"stores: declared twice: {', '.join(doubled)}")
    owners = {os.path.realpath(parameters["authority_directory"]): AUTHORITY}
    for store in parameters["stores"]:
        # Each would remove what is the other's.
        other = owners.setdefault(os.path.realpath(store["directory"]), store["name"])
        if other != store["name"]:
            raise CertificateError(f"{store['name']}: {store['directory']} is the directory of {other}")


def look_after(parameters: dict[str, Any], target: Target, now: dt.datetime) -> dict[str, Any]:
    """Look after the authority and all stores, and return what the module answers.

    :raises CertificateError: when the operator has to decide or to mend something.
    :raises OSError: when a file cannot be read or written.
    """
    refuse_nonsense(parameters)
    authority = AuthorityKeeper(parameters, target, now)
    stores = {store["name"]: StoreKeeper({**parameters, **store}, target, now) for store in parameters["stores"]}
    authority.refuse_nonsense()
    for store in stores.values():
        store.refuse_nonsense()
    issuer = authority.keep()
    kept = {name: store.keep(issuer) for name, store in stores.items()}
    return {
        "changed": bool(target.changes),
        "changes": target.changes,
        "warnings": target.warnings,
        "stores": kept,
        "ending": ending(kept, parameters["warn_days"], now),
        "authority": authority.result,
        "library_missing": False,
        "diff": {"before": "".join(f"{x}\n" for x in target.before), "after": "".join(f"{x}\n" for x in target.after)},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "authority_directory": {"type": "path", "required": True},
            "organization": {"type": "str", "required": True},
            "authority_days": {"type": "int", "default": 3650},
            "certificate_days": {"type": "int", "default": 366},
            "renew_days": {"type": "int", "default": 60},
            "warn_days": {"type": "int", "default": 30},
            "stores": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "directory": {"type": "path", "required": True},
                    "uid": {"type": "int", "required": True},
                    "gid": {"type": "int", "required": True},
                    "remove_undeclared": {"type": "bool", "default": True},
                    "certificates": {
                        "type": "list",
                        "elements": "dict",
                        "required": True,
                        # The certificate key is the secret one; `no_log` also masks it in whatever the module returns.
                        "no_log": False,
                        "options": {
                            "name": {"type": "str", "required": True},
                            "domains": {"type": "list", "elements": "str", "required": True},
                            "certificate": {"type": "str", "default": ""},
                            "key": {"type": "str", "default": "", "no_log": True},
                        },
                    },
                },
            },
        },
        supports_check_mode=True,
    )
    if not HAS_CRYPTOGRAPHY:
        # The caller installs the package and calls again; a check run can only foresee that everything is new.
        module.exit_json(
            changed=module.check_mode,
            changes=["certificates: issued (cryptography is not installed yet)"] if module.check_mode else [],
            stores={
                store["name"]: {"digest": UNISSUED, "certificates": {}, "undeclared": [], "ended": {}}
                for store in module.params["stores"]
            },
            authority={},
            ending=[],
            library_missing=True,
        )
    target = Target(module.check_mode)
    try:
        result = look_after(module.params, target, utc_now())
    except (CertificateError, OSError) as error:
        module.fail_json(msg=str(error), changes=target.changes)
    for warning in result.pop("warnings"):
        module.warn(warning)
    if not module._diff:
        result.pop("diff")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
