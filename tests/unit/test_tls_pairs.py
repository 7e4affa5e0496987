"""An operator's certificate: what it is for, and whether its chain is there."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from filter_plugins.tls import tls_pair_problems

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def name(text: str) -> x509.Name:
    """Return a name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(usages: list[ObjectIdentifier] | None = None, place: bool = False, subject: str = "a.example") -> str:
    """Return a certificate in PEM: for what it may be used, and whether it says where its issuer's is."""
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=name("authority"), subject_name=name(subject), public_key=KEY.public_key(), serial_number=7,
        not_valid_before=now - dt.timedelta(days=1), not_valid_after=now + dt.timedelta(days=30),
    ).add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)  # fmt: skip
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if place:
        address = x509.UniformResourceIdentifier("http://authority.example/ca.crt")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, address)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(
    ("usages", "fits"),
    [
        (None, True),
        ([ExtendedKeyUsageOID.SERVER_AUTH], True),
        ([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
        ([ExtendedKeyUsageOID.CLIENT_AUTH], False),
        ([ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.CODE_SIGNING], False),
    ],
)
def test_certificates_for_others_than_servers(usages: list[ObjectIdentifier] | None, fits: bool) -> None:
    problems = tls_pair_problems(certificate(usages), PEM, ["a.example"])
    assert len(problems) == (not fits)
    assert all("is not for servers: its extended key usage lacks serverAuth" in problem for problem in problems)


def test_a_certificate_without_its_chain() -> None:
    """One of a private authority needs none: its issuer may be what clients know."""
    assert tls_pair_problems(certificate(), PEM, ["a.example"]) == []
    (problem,) = tls_pair_problems(certificate(place=True), PEM, ["a.example"])
    assert problem.startswith("the chain is missing: ")
    whole = certificate(place=True) + certificate(subject="authority")
    assert tls_pair_problems(whole, PEM, ["a.example"]) == []
