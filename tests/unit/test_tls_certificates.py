"""The certificates: issued once, issued again when they have to be, and never without saying why."""

import datetime as dt
import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.testing import patch_module_args
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from filter_plugins import tls
from tests.support.load import load

NOW = dt.datetime(2031, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


pairs = load("roles/certificates/module_utils/tls_pairs.py", "ansible.module_utils.tls_pairs")
module = load("roles/certificates/library/tls_certificates.py")


@pytest.fixture(autouse=True)
def _as_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the files belong to whoever runs the tests: the module's root is us."""
    chown, fchown = os.chown, os.fchown
    ours = (os.getuid(), os.getgid())
    monkeypatch.setattr(os, "chown", lambda path, _uid, _gid, **options: chown(path, *ours, **options))
    monkeypatch.setattr(os, "fchown", lambda handle, _uid, _gid: fchown(handle, *ours))
    if os.getuid() != 0:
        monkeypatch.setattr(module.Target, "keep_mode", keep_mode_only)


def keep_mode_only(self: Any, path: Path, _uid: int, _gid: int, mode: int) -> None:
    """Stand in for the comparison of owner and mode where only root could give files away."""
    if stat.S_IMODE(path.lstat().st_mode) != mode:
        self.changes.append(f"{path}: mode")
        if not self.check:
            path.chmod(mode)


Run = Callable[..., dict[str, Any]]
SHOP = {"name": "shop", "domains": ["a.test"]}


def parameters(folder: Path, stores: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the module's parameters for stores, with an authority below a directory."""
    return {
        "authority_directory": str(folder / "ca"),
        "organization": "quayside",
        "authority_days": 3650,
        "certificate_days": 233,
        "renew_days": 60,
        "warn_days": 30,
        "stores": stores,
    }


@pytest.fixture
def run_stores(tmp_path: Path) -> Run:
    """Return a function that runs the module's work in a directory of its own, with stores by their names."""

    def run_module(check: bool = False, now: dt.datetime = NOW, common: Any = None, **stores: Any) -> dict[str, Any]:
        declared = []
        for name, store in stores.items():
            entries = [{"certificate": "", "key": "", **entry} for entry in store["certificates"]]
            own = {"name": name, "directory": str(tmp_path / name), "uid": os.getuid(), "gid": os.getgid()}
            declared.append({"remove_undeclared": True, **own, **store, "certificates": entries})
        declaration = {**parameters(tmp_path, declared), **(common or {})}
        result: dict[str, Any] = module.look_after(declaration, module.Target(check), now)
        return result

    return run_module


@pytest.fixture
def run(run_stores: Run) -> Run:
    """Return a function that does so with one store, `tls`, whose results are then among the others."""

    def run_module(
        *certificates: dict[str, Any],
        check: bool = False,
        now: dt.datetime = NOW,
        remove_undeclared: bool = True,
        **common: Any,
    ) -> dict[str, Any]:
        store = {"certificates": certificates or (SHOP,), "remove_undeclared": remove_undeclared}
        result = run_stores(check, now, common, tls=store)
        return {**result, **result["stores"]["tls"]}

    return run_module


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(key: Key) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def given(
    key: Key | None = None,
    names: tuple[str, ...] = ("a.test",),
    start: dt.datetime = NOW - dt.timedelta(days=1),
    days: float = 90,
    issuer: tuple[str, Any] | None = None,
    subject: str = "given",
) -> tuple[str, str]:
    """Make an operator's pair: certificate and key, PEM."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    issuer_name, issuer_key = issuer or (subject, key)
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
    )
    if alternatives:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    certificate = builder.sign(issuer_key, algorithm)
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), pem(key)


def leaf(tmp_path: Path, file: str = "shop") -> x509.Certificate:
    return x509.load_pem_x509_certificate((tmp_path / "tls" / f"{file}.pem").read_bytes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- Issuing ---------------------------------------------------------------------------------------------------------


def test_first_run_makes_everything(run: Run, tmp_path: Path) -> None:
    result = run({"name": "shop", "domains": ["A.test", "www.a.test", "192.0.2.7", "2001:DB8::1"]})
    assert result["changed"]
    authority = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.crt").read_bytes())
    certificate = leaf(tmp_path)
    certificate.verify_directly_issued_by(authority)
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert alternatives.get_values_for_type(x509.DNSName) == ["a.test", "www.a.test"]
    assert [str(a) for a in alternatives.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "2001:db8::1"]
    assert certificate.not_valid_before_utc < NOW
    # Both ends belong to it: not a second more than declared.
    assert certificate.not_valid_after_utc == certificate.not_valid_before_utc + dt.timedelta(days=233, seconds=-1)
    assert [mode(tmp_path / p) for p in ("ca/ca.key", "ca/ca.crt", "tls/shop.pem")] == [0o600, 0o644, 0o400]
    assert result["certificates"]["shop"]["fingerprint"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert result["certificates"]["shop"]["not_after"] == "2031-12-25T06:08:08+00:00"
    assert result["authority"]["fingerprint"] == authority.fingerprint(hashes.SHA256()).hex()
    assert result["authority"]["certificate"] == (tmp_path / "ca" / "ca.crt").read_text()
    assert run(check=True)["authority"]["certificate"] == result["authority"]["certificate"]


def test_authority_can_sign_certificates_and_nothing_below(run: Run, tmp_path: Path) -> None:
    run()
    authority = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.crt").read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert "quayside" in authority.subject.rfc4514_string()


def test_certificates_say_what_they_may_be_used_for(run: Run, tmp_path: Path) -> None:
    """Clients refuse one that says too little, and one with an unknown purpose that is critical."""

    def uses(certificate: x509.Certificate) -> set[str]:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
        return {name for name in (*names, "key_cert_sign", "crl_sign") if getattr(usage, name)}

    def critical(certificate: x509.Certificate) -> dict[str, bool]:
        return {extension.oid._name: extension.critical for extension in certificate.extensions}

    run({"name": "shop", "domains": ["a.test"]}, {"name": "long", "domains": [f"{'x' * 61}.test"]})
    authority = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.crt").read_bytes())
    assert uses(authority) == {"key_cert_sign", "crl_sign"}
    assert critical(authority) == {"basicConstraints": True, "keyUsage": True, "subjectKeyIdentifier": False}
    assert authority.not_valid_after_utc == NOW + dt.timedelta(days=3650)
    assert authority.not_valid_before_utc == NOW - dt.timedelta(hours=1)
    certificate = leaf(tmp_path)
    assert uses(certificate) == {"digital_signature"}
    expected = {
        "subjectAltName": False, "basicConstraints": True, "keyUsage": True, "extendedKeyUsage": False,
        "subjectKeyIdentifier": False, "authorityKeyIdentifier": False,
    }  # fmt: skip
    assert critical(certificate) == expected
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert [name.value for name in certificate.subject] == ["a.test"]
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    signer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert signer.key_identifier == identifier.digest
    own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert own == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    assert certificate.not_valid_before_utc == NOW - dt.timedelta(hours=1)
    # A name that is too long for a common name stands in the alternatives alone, which have to be understood then.
    assert list(leaf(tmp_path, "long").subject) == []
    assert critical(leaf(tmp_path, "long")) == {**expected, "subjectAltName": True}


def test_second_run_changes_nothing(run: Run, tmp_path: Path) -> None:
    first = run()
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.*") if path.is_file()}
    second = run(now=NOW + dt.timedelta(days=30))
    assert not second["changed"]
    assert second["changes"] == []
    assert second["digest"] == first["digest"]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before


def test_order_and_case_of_domains_do_not_matter(run: Run) -> None:
    run({"name": "shop", "domains": ["a.test", "b.test"]})
    assert not run({"name": "shop", "domains": ["B.test", "A.test."]})["changed"]


@pytest.mark.parametrize("days", [233 - 59, 240])
def test_renews_in_time(run: Run, tmp_path: Path, days: int) -> None:
    first = run()
    result = run(now=NOW + dt.timedelta(days=days))
    assert "expire" in result["changes"][0]
    assert result["digest"] != first["digest"]
    assert leaf(tmp_path).not_valid_after_utc == NOW + dt.timedelta(days=days + 233, hours=-1, seconds=-1)


def test_one_that_lives_too_long_is_replaced_once(run: Run, tmp_path: Path) -> None:
    """Such as one from a time when certificates were valid for longer: by one of the declared length."""
    first = run(certificate_days=234)
    assert run(now=NOW + dt.timedelta(days=3))["changes"] == [
        "tls/shop: issued for a.test (was valid for 234 days in all)"
    ]
    assert first["digest"] != run(now=NOW + dt.timedelta(days=3))["digest"]
    assert not run(now=NOW + dt.timedelta(days=4))["changed"]
    assert leaf(tmp_path).not_valid_after_utc < NOW + dt.timedelta(days=236)
    # One that is shorter than declared has its whole life.
    assert not run(now=NOW + dt.timedelta(days=5), certificate_days=300)["changed"]


def test_replaces_what_is_not_valid_yet(run: Run) -> None:
    """The machine's clock was ahead when it was issued; the authority of then stays."""
    run()
    ahead = NOW + dt.timedelta(days=30)
    run({"name": "shop", "domains": ["b.test"]}, now=ahead)
    assert run({"name": "shop", "domains": ["b.test"]})["changes"] == [
        f"tls/shop: issued for b.test (not valid before {ahead:%Y-%m-%d})"
    ]


def test_issues_again_for_other_domains(run: Run, tmp_path: Path) -> None:
    run()
    result = run({"name": "shop", "domains": ["a.test", "b.test"]})
    assert result["changes"] == ["tls/shop: issued for a.test, b.test (was for a.test)"]
    assert pairs.certificate_names(leaf(tmp_path)) == {"a.test", "b.test"}


@pytest.mark.parametrize(
    "content", ["", "rubbish", "\x00\xff", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_replaces_what_cannot_be_read(run: Run, tmp_path: Path, content: str) -> None:
    run()
    path = tmp_path / "tls" / "shop.pem"
    path.chmod(0o600)
    path.write_text(content, encoding="latin-1")
    assert run()["changes"] == ["tls/shop: issued for a.test (unreadable)"]
    assert not run()["changed"]


def test_replaces_a_foreign_certificate(run: Run, tmp_path: Path) -> None:
    run()
    path = tmp_path / "tls" / "shop.pem"
    path.chmod(0o600)
    path.write_text("".join(given()))
    assert "not signed by" in run()["changes"][0]


def test_replaces_a_certificate_with_another_key(run: Run, tmp_path: Path) -> None:
    run()
    path = tmp_path / "tls" / "shop.pem"
    certificate = pairs.certificate_blocks(path.read_text())[0]
    path.chmod(0o600)
    path.write_text(pem(ec.generate_private_key(ec.SECP256R1())) + certificate)
    assert "its key belongs to another certificate" in run()["changes"][0]


def test_replaces_a_link(run: Run, tmp_path: Path) -> None:
    run()
    path = tmp_path / "tls" / "shop.pem"
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    text = elsewhere.read_text()
    assert run()["changed"]
    assert not path.is_symlink()
    assert elsewhere.read_text() == text


def test_a_file_that_is_put_back_is_another_digest(run: Run, tmp_path: Path) -> None:
    """The server may have read the wrong one meanwhile."""
    certificate, key = given()
    entry = {"name": "shop", "domains": ["a.test"], "certificate": certificate, "key": key}
    first = run(entry)
    (tmp_path / "tls" / "shop.pem").write_text("wrong")
    second = run(entry)
    assert second["changed"]
    assert second["certificates"] == first["certificates"]
    assert second["digest"] != first["digest"]


def test_servers_own_their_certificates_alone(run_stores: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = []
    monkeypatch.setattr(os, "fchown", lambda _, *ids: owners.append(ids))
    run_stores(
        web={"certificates": [SHOP], "uid": 4321, "gid": 5432}, files={"certificates": [SHOP], "uid": 6543, "gid": 7654}
    )
    assert owners == [(0, 0), (0, 0), (4321, 5432), (6543, 7654)]


def test_mends_modes_only(run: Run, tmp_path: Path) -> None:
    first = run()
    (tmp_path / "tls" / "shop.pem").chmod(0o644)
    (tmp_path / "ca" / "ca.key").chmod(0o640)
    result = run()
    assert len(result["changes"]) == 2
    assert result["digest"] == first["digest"]
    assert [mode(tmp_path / p) for p in ("ca/ca.key", "tls/shop.pem")] == [0o600, 0o400]


def test_removes_what_is_not_declared(run: Run, tmp_path: Path) -> None:
    run({"name": "shop", "domains": ["a.test"]}, {"name": "gone", "domains": ["b.test"]})
    (tmp_path / "tls" / "note.txt").write_text("not a certificate")
    result = run()
    assert result["changes"] == [f"{tmp_path}/tls/gone.pem: removed (not declared)"]
    assert result["diff"]["before"].splitlines()[-1] == "tls/gone: not declared"
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["note.txt", "shop.pem"]


@pytest.mark.parametrize("check", [True, False])
def test_names_what_is_not_declared_where_it_stays(run: Run, tmp_path: Path, check: bool) -> None:
    """That is no change, and says nothing about the certificates that are declared."""
    run({"name": "shop", "domains": ["a.test"]}, {"name": "gone", "domains": ["b.test"]})
    before = run(remove_undeclared=False)
    result = run(remove_undeclared=False, check=check)
    assert (result["changed"], result["undeclared"]) == (False, ["gone.pem"])
    assert result["digest"] == before["digest"] != module.UNISSUED
    assert (tmp_path / "tls/gone.pem").exists()
    assert run()["undeclared"] == []


def test_new_authority_issues_all_again(run: Run, tmp_path: Path) -> None:
    run()
    for path in (tmp_path / "ca").iterdir():
        path.unlink()
    assert any("not signed by" in change for change in run()["changes"])


# --- The authority is never replaced ----------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["ca.key", "ca.crt"])
def test_broken_authority_is_an_error(run: Run, tmp_path: Path, file: str) -> None:
    run()
    path = tmp_path / "ca" / file
    path.write_text("rubbish")
    with pytest.raises(module.CertificateError, match="is broken"):
        run()
    assert path.read_text() == "rubbish"


def test_authority_without_its_key_is_an_error(run: Run, tmp_path: Path) -> None:
    run()
    (tmp_path / "ca" / "ca.key").unlink()
    with pytest.raises(module.CertificateError, match="its key"):
        run()


def test_authority_with_another_key_is_an_error(run: Run, tmp_path: Path) -> None:
    run()
    (tmp_path / "ca" / "ca.key").write_text(pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(module.CertificateError, match="does not belong to"):
        run()


def test_server_certificate_is_no_authority(run: Run, tmp_path: Path) -> None:
    run()
    certificate, key = given()
    (tmp_path / "ca" / "ca.crt").write_text(certificate)
    (tmp_path / "ca" / "ca.key").write_text(key)
    with pytest.raises(module.CertificateError, match="not the certificate of an authority"):
        run()


def test_expired_authority_is_an_error(run: Run) -> None:
    run()
    with pytest.raises(module.CertificateError, match="expired"):
        run(now=NOW + dt.timedelta(days=3651))


def test_nothing_outlives_the_authority_and_that_is_no_reason_to_renew_forever(run: Run, tmp_path: Path) -> None:
    run(authority_days=233)
    late = NOW + dt.timedelta(days=216)
    # Its last hour is left: a certificate's days are counted from the hour before it was made.
    assert run(now=late, authority_days=233)["changed"]
    assert not run(now=late, authority_days=233)["changed"]
    run({"name": "shop", "domains": ["new.test"]}, now=late)
    assert leaf(tmp_path).not_valid_after_utc == NOW + dt.timedelta(days=233)
    result = run({"name": "shop", "domains": ["new.test"]}, now=late)
    assert not result["changed"]
    assert "expires in 17 days" in result["warnings"][0]


def test_crash_between_key_and_certificate_of_the_authority(run: Run, tmp_path: Path) -> None:
    run()
    key = (tmp_path / "ca" / "ca.key").read_text()
    (tmp_path / "ca" / "ca.crt").unlink()
    run()
    assert (tmp_path / "ca" / "ca.key").read_text() == key
    assert not run()["changed"]


def test_crash_while_writing_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    run()
    leftover = tmp_path / "tls" / ".new-abc"
    leftover.write_text("half")
    assert run()["changes"] == [f"{leftover}: removed (left behind by a run that was cut off)"]
    assert not leftover.exists()


def test_failing_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run says what it has done before: the next one finds that done and no longer says it."""

    def answer(**domains: str) -> dict[str, Any]:
        stores = [
            {"name": name, "directory": str(tmp_path / name), "uid": os.getuid(), "gid": os.getgid()}
            | {"certificates": [{"name": "shop", "domains": [domain]}]}
            for name, domain in domains.items()
        ]
        with patch_module_args(parameters(tmp_path, stores)), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    assert answer(web="a.test", ftp="a.test")["changed"]
    before = (tmp_path / "ftp" / "shop.pem").read_bytes()
    sync, left = os.fsync, [True, True]

    def full(handle: int) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    failed = answer(web="b.test", ftp="b.test")
    assert (failed["failed"], failed["msg"]) == (True, "[Errno 28] No space left on device")
    assert failed["changes"] == ["web/shop: issued for b.test (was for a.test)"]
    assert [path.name for path in (tmp_path / "ftp").iterdir()] == ["shop.pem"]
    assert (tmp_path / "ftp" / "shop.pem").read_bytes() == before
    monkeypatch.setattr(os, "fsync", sync)
    assert answer(web="b.test", ftp="b.test")["changes"] == ["ftp/shop: issued for b.test (was for a.test)"]


# --- Check mode ------------------------------------------------------------------------------------------------------


def test_check_on_a_bare_target_writes_nothing(run: Run, tmp_path: Path) -> None:
    result = run(check=True)
    assert result["changed"]
    assert result["digest"] == "unissued"
    assert list(tmp_path.iterdir()) == []


def nothing(_: Path) -> None:
    """Change nothing on the target."""


def remove_certificate(authority: Path) -> None:
    (authority / "ca.crt").unlink()


def remove_certificate_and_open_key(authority: Path) -> None:
    (authority / "ca.crt").unlink()
    (authority / "ca.key").chmod(0o644)


def remove_both(authority: Path) -> None:
    (authority / "ca.crt").unlink()
    (authority / "ca.key").unlink()


@pytest.mark.parametrize("new", [{}, {"domains": ["b.test"]}], ids=["same", "other domain"])
@pytest.mark.parametrize("damage", [nothing, remove_certificate, remove_certificate_and_open_key, remove_both])
def test_check_predicts_exactly_the_changes(
    run: Run, tmp_path: Path, damage: Callable[[Path], None], new: dict[str, Any]
) -> None:
    before = run()
    damage(tmp_path / "ca")
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    predicted = run({**SHOP, **new}, check=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == files
    result = run({**SHOP, **new})
    assert predicted["changes"] == result["changes"]
    assert predicted["digest"] == (before["digest"] if result["digest"] == before["digest"] else "unissued")
    assert predicted["authority"]["fingerprint"] == (before["authority"]["fingerprint"] if damage is nothing else "")


def test_new_certificate_of_the_authority_costs_no_other(run: Run, tmp_path: Path) -> None:
    """Its key has signed them."""
    first = run()
    remove_certificate(tmp_path / "ca")
    for check in (True, False):
        result = run(check=check)
        assert result["changes"] == [f"{tmp_path}/ca/ca.crt: made a certificate authority (3650 days)"]
        assert result["stores"] == first["stores"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("rubbish", "ca.key holds 0 PEM private keys instead of one. Put the right"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "ca.key is not an elliptic curve key. Put the right"),
    ],
    ids=["rubbish", "another kind"],
)
def test_check_refuses_the_key_that_a_run_refuses(run: Run, tmp_path: Path, key: str, message: str) -> None:
    run()
    remove_certificate(tmp_path / "ca")
    (tmp_path / "ca" / "ca.key").write_text(key)
    for check in (True, False):
        with pytest.raises(module.CertificateError, match=message):
            run(check=check)
    assert [path.name for path in (tmp_path / "ca").iterdir()] == ["ca.key"]


# --- The operator's own ----------------------------------------------------------------------------------------------


def test_given_pair_is_written_as_it_is(run: Run, tmp_path: Path) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    root, _ = given(authority_key, names=(), subject="authority")
    certificate, key = given(issuer=("authority", authority_key))
    entry = {"name": "shop", "domains": ["a.test"], "certificate": certificate + root, "key": key}
    first = run(entry)
    text = (tmp_path / "tls" / "shop.pem").read_text()
    assert key.strip() in text
    assert pairs.certificate_blocks(text) == [certificate.strip(), root.strip()]
    assert mode(tmp_path / "tls" / "shop.pem") == 0o400
    assert first["certificates"]["shop"]["source"] == "operator"
    assert not run(entry)["changed"]
    assert "issued for a.test (not signed by" in run()["changes"][0]


def test_kind_of_the_key_is_named(run: Run) -> None:
    """Some servers take RSA and elliptic curves under different settings."""
    certificate, key = given(rsa.generate_private_key(65537, 2048))
    entries = (
        {"name": "own", "domains": ["a.test"], "certificate": certificate, "key": key},
        {"name": "made", "domains": ["b.test"]},
    )
    assert {name: kept["key_type"] for name, kept in run(*entries)["certificates"].items()} == {
        "own": "RSA",
        "made": "EC",
    }
    changed = ({**entries[0], "domains": ["c.test"], "certificate": "", "key": ""}, entries[1])
    predicted = run(*changed, check=True)["certificates"]
    assert {name: kept["key_type"] for name, kept in predicted.items()} == {"own": "", "made": "EC"}


def test_another_chain_is_another_digest(run: Run) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    certificate, key = given(issuer=("authority", authority_key))
    roots = [given(authority_key, names=(), subject="authority")[0] for _ in range(2)]
    digests = {
        run({"name": "shop", "domains": ["a.test"], "certificate": certificate + root, "key": key})["digest"]
        for root in roots
    }
    assert len(digests) == 2


def test_result_never_holds_a_key(run: Run, tmp_path: Path) -> None:
    certificate, key = given()
    result = run(
        {"name": "given", "domains": ["a.test"], "certificate": certificate, "key": key},
        {"name": "made", "domains": ["b.test"]},
    )
    made = pairs.key_blocks((tmp_path / "tls" / "made.pem").read_text())[0]
    for secret in (key, made, (tmp_path / "ca" / "ca.key").read_text()):
        assert secret.splitlines()[1] not in repr(result)
    assert "PRIVATE" not in repr(result)


def test_unusable_pair_stops_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    certificate, _ = given()
    _, key = given()
    with pytest.raises(module.CertificateError, match="tls/shop: the key does not belong to the certificate"):
        run(
            {"name": "first", "domains": ["a.test"]},
            {"name": "shop", "domains": ["a.test"], "certificate": certificate, "key": key},
        )
    assert list(tmp_path.iterdir()) == []


# --- Several stores in one run ---------------------------------------------------------------------------------------

FTP = {"certificates": [{"name": "shop", "domains": ["ftp.test"]}]}
WEB = {"certificates": [SHOP, {"name": "blog", "domains": ["b.test"]}]}


def test_stores_share_the_authority(run_stores: Run, tmp_path: Path) -> None:
    """Each has its own files and its own answer, also where names are the same."""
    result = run_stores(web=WEB, ftp=FTP)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca" / "ca.crt").read_bytes())
    for store, names in {"web": ["blog", "shop"], "ftp": ["shop"]}.items():
        assert sorted(path.stem for path in (tmp_path / store).iterdir()) == names
        assert sorted(result["stores"][store]["certificates"]) == names
        for file in names:
            certificate = x509.load_pem_x509_certificate((tmp_path / store / f"{file}.pem").read_bytes())
            certificate.verify_directly_issued_by(authority)
    assert [change for change in result["changes"] if "/shop:" in change] == [
        "web/shop: issued for a.test (missing)",
        "ftp/shop: issued for ftp.test (missing)",
    ]
    assert sum("made a certificate authority" in change for change in result["changes"]) == 1
    assert result["diff"]["after"].count("ftp/shop: ftp.test, until") == 1


def test_second_run_of_stores_changes_nothing(run_stores: Run) -> None:
    first = run_stores(web=WEB, ftp=FTP)
    second = run_stores(web=WEB, ftp=FTP)
    assert second["changes"] == []
    assert second["stores"] == first["stores"]
    # What else is looked after is no part of a store's answer.
    assert run_stores(ftp=FTP)["stores"] == {"ftp": first["stores"]["ftp"]}


def test_digest_is_that_of_earlier_releases(run_stores: Run, tmp_path: Path) -> None:
    """Another one would have every server load, or start with, what it has already."""
    digest = run_stores(web=WEB, ftp=FTP)["stores"]["web"]["digest"]
    files = [tmp_path / "web" / f"{name}.pem" for name in ("blog", "shop")]
    fingerprints = [x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()) for path in files]
    chains = hashlib.sha256("\n".join(one.hex() for one in fingerprints).encode()).hexdigest()[:16]
    written = [path.stat().st_mtime_ns for path in files]
    assert digest == hashlib.sha256(f"{chains} {written}".encode()).hexdigest()[:16]


def test_nonsense_in_the_second_store_stops_before_the_first_is_written(run_stores: Run, tmp_path: Path) -> None:
    _, foreign = given()
    certificate, _ = given()
    for entry, message in (
        ({"name": "shop", "domains": ["a b"]}, "ftp/shop: 'a b' is neither"),
        ({**SHOP, "certificate": certificate, "key": foreign}, "ftp/shop: the key does not belong"),
    ):
        with pytest.raises(module.CertificateError, match=message):
            run_stores(web=WEB, ftp={"certificates": [entry]})
        assert list(tmp_path.iterdir()) == []


def test_undeclared_file_concerns_its_own_store_alone(run_stores: Run, tmp_path: Path) -> None:
    run_stores(web=WEB, ftp=FTP)
    # The other store has a certificate of that name.
    (tmp_path / "ftp" / "blog.pem").write_text("stranger")
    (tmp_path / "web" / "gone.pem").write_text("stranger")
    lasting = {**WEB, "remove_undeclared": False}
    result = run_stores(web=lasting, ftp=FTP)
    assert result["changes"] == [f"{tmp_path}/ftp/blog.pem: removed (not declared)"]
    assert {name: store["undeclared"] for name, store in result["stores"].items()} == {"web": ["gone.pem"], "ftp": []}
    assert (tmp_path / "web" / "blog.pem").exists()
    assert not (tmp_path / "ftp" / "blog.pem").exists()


def test_check_of_a_store_that_would_change_knows_the_others_digest(run_stores: Run, tmp_path: Path) -> None:
    first = run_stores(web=WEB, ftp=FTP)
    (tmp_path / "ftp" / "shop.pem").unlink()
    (tmp_path / "web" / "gone.pem").write_text("its removal makes no other digest")
    predicted = run_stores(check=True, web=WEB, ftp=FTP)
    assert not (tmp_path / "ftp" / "shop.pem").exists()
    assert predicted["stores"]["ftp"]["digest"] == "unissued"
    assert predicted["stores"]["web"] == first["stores"]["web"]
    repaired = run_stores(web=WEB, ftp=FTP)
    assert repaired["changes"] == predicted["changes"]
    assert repaired["stores"]["web"] == first["stores"]["web"]
    assert repaired["stores"]["ftp"]["digest"] != first["stores"]["ftp"]["digest"]


def test_leftovers_of_every_store_are_removed(run_stores: Run, tmp_path: Path) -> None:
    run_stores(web=WEB, ftp=FTP)
    leftovers = [tmp_path / folder / ".new-abc" for folder in ("ca", "web", "ftp")]
    for path in leftovers:
        path.write_text("half")
    assert len(run_stores(check=True, web=WEB, ftp=FTP)["changes"]) == 3
    assert all(path.exists() for path in leftovers)
    run_stores(web=WEB, ftp=FTP)
    assert not any(path.exists() for path in leftovers)


@pytest.mark.parametrize(
    ("name", "directory", "message"),
    [
        ("web", "elsewhere", "declared twice: web"),
        ("ftp", "web/../web", "ftp: .* is the directory of web"),
        ("ftp", "ca", "ftp: .* is the directory of the certificate authority"),
        ("", "ftp", "'' is no name"),
    ],
)
def test_stores_are_apart(tmp_path: Path, name: str, directory: str, message: str) -> None:
    owner = {"uid": os.getuid(), "gid": os.getgid(), "remove_undeclared": True, "certificates": []}
    stores = [
        {"name": "web", "directory": str(tmp_path / "web"), **owner},
        {"name": name, "directory": str(tmp_path / directory), **owner},
    ]
    with pytest.raises(module.CertificateError, match=message):
        module.look_after(parameters(tmp_path, stores), module.Target(check=False), NOW)
    assert list(tmp_path.iterdir()) == []


# --- Parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "../x", "domains": ["a.test"]}, "no name for a file"),
        ({"name": "", "domains": ["a.test"]}, "no name for a file"),
        ({"name": "x\n", "domains": ["a.test"]}, "no name for a file"),
        ({"name": "x", "domains": []}, "domains is empty"),
        ({"name": "x", "domains": ["a b"]}, "neither a host name"),
        ({"name": "x", "domains": ["a.test\n"]}, "neither a host name"),
        ({"name": "x", "domains": ["büro.test"]}, "neither a host name"),
        ({"name": "x", "domains": ["a.test"], "certificate": "c"}, "given together"),
    ],
)
def test_refuses_nonsense(run: Run, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(module.CertificateError, match=message):
        run(entry)


def test_refuses_a_name_twice(run: Run) -> None:
    with pytest.raises(module.CertificateError, match="declared twice: shop"):
        run(*[{"name": "shop", "domains": ["a.test"]}] * 2)


def test_refuses_a_directory_in_the_place_of_a_file(run: Run, tmp_path: Path) -> None:
    """Also a check run says so."""
    (tmp_path / "tls" / "shop.pem").mkdir(parents=True)
    for check in (True, False):
        with pytest.raises(module.CertificateError, match=r"tls/shop: .*/tls/shop.pem is a directory; remove it"):
            run(check=check)


@pytest.mark.parametrize("file", ["gone.pem", ".new-abc"])
def test_refuses_a_directory_in_the_place_of_what_it_removes(run_stores: Run, tmp_path: Path, file: str) -> None:
    """Before another store is written."""
    (tmp_path / "ftp" / file).mkdir(parents=True)
    for check in (True, False):
        with pytest.raises(module.CertificateError, match=rf"ftp: .*/ftp/{file} is a directory; remove it"):
            run_stores(check=check, web=WEB, ftp=FTP)
    assert [path.name for path in tmp_path.iterdir()] == ["ftp"]


@pytest.mark.parametrize("file", ["ca.key", "ca.crt", ".new-abc"])
def test_refuses_a_directory_in_the_place_of_the_authoritys_files(run: Run, tmp_path: Path, file: str) -> None:
    (tmp_path / "ca" / file).mkdir(parents=True)
    for check in (True, False):
        with pytest.raises(module.CertificateError, match=rf"authority: .*/ca/{file} is a directory; remove it"):
            run(check=check)
    assert [path.name for path in tmp_path.rglob("*")] == ["ca", file]


def test_undeclared_directory_may_stay_where_files_do(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tls" / "gone.pem").mkdir(parents=True)
    for check in (True, False):
        assert run(remove_undeclared=False, check=check)["undeclared"] == ["gone.pem"]


def test_links_to_directories_are_removed(run: Run, tmp_path: Path) -> None:
    run()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("gone.pem", ".new-abc"):
        (tmp_path / "tls" / name).symlink_to(elsewhere)
    predicted = run(check=True)
    assert len(predicted["changes"]) == 2
    assert run()["changes"] == predicted["changes"]
    assert [path.name for path in (tmp_path / "tls").iterdir()] == ["shop.pem"]
    assert elsewhere.is_dir()


@pytest.mark.parametrize(
    ("made", "declared", "message"),
    [
        ("link", "ftp", "/ftp is a link"),
        ("dangling", "ftp", "/ftp is a link"),
        ("file", "ftp", "/ftp is no directory"),
        ("file", "ftp/below/it", "/ftp is no directory"),
        ("dangling", "ftp/below", "/ftp is no directory"),
    ],
)
def test_refuses_a_place_that_is_no_directory(
    run_stores: Run, tmp_path: Path, made: str, declared: str, message: str
) -> None:
    """Be it a store's or the authority's."""
    place, elsewhere = tmp_path / "ftp", tmp_path / "elsewhere"
    if made == "file":
        place.write_text("precious")
    else:
        place.symlink_to(elsewhere)
    if made == "link":
        elsewhere.mkdir()
    before = set(tmp_path.rglob("*"))
    directory = str(tmp_path / declared)
    for check in (True, False):
        with pytest.raises(module.CertificateError, match=f"ftp: .*{message}; remove it"):
            run_stores(check=check, web=WEB, ftp={**FTP, "directory": directory})
        with pytest.raises(module.CertificateError, match=f"the certificate authority: .*{message}; remove it"):
            run_stores(check=check, web=WEB, common={"authority_directory": directory})
    assert set(tmp_path.rglob("*")) == before


def test_store_may_be_below_a_link(run_stores: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to("elsewhere")
    run_stores(ftp={**FTP, "directory": str(tmp_path / "data/ftp")})
    assert (tmp_path / "elsewhere/ftp/shop.pem").is_file()


def test_refuses_to_renew_always(run: Run) -> None:
    with pytest.raises(module.CertificateError, match="renew_days"):
        run(renew_days=233)
    with pytest.raises(module.CertificateError, match="renew_days"):
        run(renew_days=-1)
    assert run(renew_days=0)["changed"]
    assert not run(renew_days=232)["changed"]


def test_refuses_an_authority_that_its_certificates_would_outlive(run: Run) -> None:
    with pytest.raises(module.CertificateError, match="authority_days must not be less"):
        run(authority_days=232)
    assert run(authority_days=233)["changed"]


# --- The module ------------------------------------------------------------------------------------------------------


def test_directories_have_their_modes_whatever_root_s_mask_is(run: Run, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        run()
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("ca", "tls")] == [0o755, 0o755]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_owners_are_mended_and_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    store = {"name": "tls", "directory": str(tmp_path / "tls"), "uid": 612, "gid": 613, "remove_undeclared": True}
    declared = parameters(tmp_path, [{**store, "certificates": [{**SHOP, "certificate": "", "key": ""}]}])
    module.look_after(declared, module.Target(check=False), NOW)

    def owners() -> list[tuple[int, int]]:
        paths = (tmp_path / name for name in ("ca", "ca/ca.key", "ca/ca.crt", "tls", "tls/shop.pem"))
        return [(path.stat().st_uid, path.stat().st_gid) for path in paths]

    assert owners() == [*[(0, 0)] * 3, (612, 613), (612, 613)]
    os.chown(tmp_path / "tls/shop.pem", 612, 0)
    os.chown(tmp_path / "ca/ca.key", 5, 0)
    wrong = owners()
    for check in (True, False):
        changes = module.look_after(declared, module.Target(check), NOW)["changes"]
        assert changes == [
            f"{tmp_path}/ca/ca.key: owner and mode 5:0 0600 -> 0:0 0600",
            f"{tmp_path}/tls/shop.pem: owner and mode 612:0 0400 -> 612:613 0400",
        ]
        assert (owners() == wrong) is check
    assert owners() == [*[(0, 0)] * 3, (612, 613), (612, 613)]


@pytest.mark.parametrize("check", [True, False])
def test_target_without_the_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]], check: bool
) -> None:
    """The caller installs it and calls again; a check run foresees that everything is new."""
    monkeypatch.setattr(module, "HAS_CRYPTOGRAPHY", False)
    store = {"name": "tls", "directory": str(tmp_path / "tls"), "uid": 0, "gid": 0, "certificates": [SHOP]}
    answer = run_module(module, check, **parameters(tmp_path, [store]))
    assert (answer["changed"], answer["library_missing"], answer["authority"]) == (check, True, {})
    assert bool(answer["changes"]) is check
    assert answer["stores"] == {"tls": {"digest": "unissued", "certificates": {}, "undeclared": [], "ended": {}}}
    assert list(tmp_path.iterdir()) == []


def test_module_warns_of_an_authority_that_ends_soon_and_shows_a_difference_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_module: Callable[..., dict[str, Any]]
) -> None:
    store = {
        "name": "tls", "directory": str(tmp_path / "tls"), "uid": os.getuid(), "gid": os.getgid(),
        "certificates": [SHOP],
    }  # fmt: skip
    declared = {**parameters(tmp_path, [store]), "authority_days": 233}
    warnings: list[str] = []
    monkeypatch.setattr(module.AnsibleModule, "warn", lambda _, warning: warnings.append(warning))
    monkeypatch.setattr(module, "utc_now", lambda: NOW)
    first = run_module(module, **declared, _ansible_diff=True)
    assert (first["changed"], first["library_missing"]) == (True, False)
    assert warnings == []
    assert "tls/shop: a.test" in first["diff"]["after"]
    monkeypatch.setattr(module, "utc_now", lambda: NOW + dt.timedelta(days=174))
    later = run_module(module, **declared)
    assert "diff" not in later
    assert warnings == [f"{tmp_path}/ca/ca.crt expires in 59 days; no certificate can outlive it"]
    monkeypatch.setattr(module, "utc_now", lambda: NOW + dt.timedelta(days=337))
    run_module(module, **declared)
    assert len(warnings) == 1


def test_target_without_the_library_can_load_it_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("", ".exceptions", ".x509", ".x509.oid", ".hazmat.primitives", ".hazmat.primitives.asymmetric"):
        monkeypatch.setitem(sys.modules, f"cryptography{part}", None)
    assert load("roles/certificates/module_utils/tls_pairs.py", "tls_pairs_without").HAS_CRYPTOGRAPHY is False
    assert load("roles/certificates/library/tls_certificates.py", "tls_certificates_without").main
    with pytest.raises(AnsibleFilterError, match="cryptography is missing on the controller"):
        tls.tls_pair_problems("c", "k", [])


def test_time_is_now_to_the_second() -> None:
    before = dt.datetime.now(dt.UTC)
    now = module.utc_now()
    assert (now.microsecond, now.tzinfo) == (0, dt.UTC)
    assert abs(now - before) <= dt.timedelta(seconds=2)


def test_authority_with_a_key_of_another_kind_is_an_error(run: Run, tmp_path: Path) -> None:
    run()
    (tmp_path / "ca/ca.key").write_text(pem(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(module.CertificateError, match="is not an elliptic curve key"):
        run()


def test_older_libraries_tell_the_time_without_its_zone() -> None:
    """Debian 12 has one."""
    naive = SimpleNamespace(not_valid_before=dt.datetime(2031, 1, 2), not_valid_after=dt.datetime(2032, 1, 2))  # noqa: DTZ001
    assert pairs.valid_from(naive) == dt.datetime(2031, 1, 2, tzinfo=dt.UTC)
    assert pairs.valid_until(naive) == dt.datetime(2032, 1, 2, tzinfo=dt.UTC)


# --- What is wrong with a pair ---------------------------------------------------------------------------------------


def problems(certificate: str, key: str, *names: str) -> str:
    return "; ".join(pairs.pair_problems(certificate, key, names or ("a.test",), NOW))


def test_usable_pairs_have_no_problems() -> None:
    assert problems(*given()) == ""
    assert problems(*given(rsa.generate_private_key(65537, 2048))) == ""
    assert problems(*given(names=("*.a.test", "192.0.2.7")), "x.a.test", "X.A.test", "192.0.2.7") == ""


@pytest.mark.parametrize(
    ("pair", "names", "message"),
    [
        (lambda: given(days=0.5), (), "expired on 2031-05-05 19:08 UTC"),
        (lambda: given(start=NOW + dt.timedelta(days=1)), (), "not valid before 2031-05-07"),
        (given, ("b.test",), "not valid for b.test (it is valid for a.test)"),
        (lambda: given(names=("*.a.test",)), ("a.test",), "not valid for a.test"),
        (lambda: given(names=("*.a.test",)), ("x.y.a.test",), "not valid for x.y.a.test"),
        (lambda: given(names=()), (), "valid for no name at all"),
        (lambda: given(rsa.generate_private_key(65537, 1024)), (), "1024 bits"),  # noqa: S505 - a weak key is the material
        (lambda: given(ec.generate_private_key(ec.SECP224R1())), (), "weaker than 256 bits"),
        (lambda: given(ed25519.Ed25519PrivateKey.generate()), (), "Ed25519"),
        (lambda: given(ed448.Ed448PrivateKey.generate()), (), "neither an RSA nor an elliptic curve key"),
        (lambda: ("", given()[1]), (), "certificate file holds no PEM certificate"),
        (lambda: (given()[0], ""), (), "key file holds 0 PEM private keys"),
        (lambda: (given()[0], given()[1] * 2), (), "key file holds 2 PEM private keys"),
        (lambda: (given()[0].replace("MII", "AAA"), given()[1]), (), "certificate that cannot be parsed"),
        (lambda: (given()[0], given()[1].replace("MI", "AA")), (), "private key that cannot be parsed"),
        (lambda: (given()[0], given()[1]), (), "does not belong"),
    ],
)
def test_problems_are_named(pair: Callable[[], tuple[str, str]], names: tuple[str, ...], message: str) -> None:
    found = problems(*pair(), *names)
    assert message in found


def test_passphrase_is_named() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, _ = given(key)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    protected = key.private_bytes(*form, serialization.BestAvailableEncryption(b"sesame")).decode()
    assert "passphrase" in problems(certificate, protected)


@pytest.mark.parametrize(("algorithm", "refused"), [("md5", True), ("sha1", True), ("sha256", False), (None, False)])
def test_broken_signatures_are_named(monkeypatch: pytest.MonkeyPatch, algorithm: str | None, refused: bool) -> None:
    """No library makes such a certificate any more, so this one only says that it is one."""
    certificate, _ = given()
    (leaf_certificate,) = pairs.load_chain(certificate)
    named = SimpleNamespace(name=algorithm) if algorithm else None
    monkeypatch.setattr(pairs, "valid_from", lambda _: NOW)
    monkeypatch.setattr(pairs, "valid_until", lambda _: NOW + dt.timedelta(seconds=1))
    chain = [SimpleNamespace(signature_hash_algorithm=named, extensions=leaf_certificate.extensions)]
    found = pairs._chain_problems(chain, ["a.test"])
    assert found == ([f"the certificate is signed with {str(algorithm).upper()}, which browsers refuse"] * refused)


def test_order_of_the_chain_is_checked() -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    root, _ = given(authority_key, names=(), subject="authority")
    certificate, key = given(issuer=("authority", authority_key))
    assert problems(certificate + root, key) == ""
    assert "must come first" in problems(root + certificate, key)
    stranger, _ = given(names=(), subject="stranger")
    assert "out of order" in problems(certificate + stranger, key)


def test_filter_says_the_same() -> None:
    certificate, key = given(start=dt.datetime.now(dt.UTC) - dt.timedelta(days=1))
    usable = tls.FilterModule().filters()["tls_pair_problems"]
    assert usable(certificate, key, ["a.test"]) == []
    assert usable(certificate, given()[1], ["a.test"]) == ["the key does not belong to the certificate"]


@pytest.mark.parametrize("arguments", [(1, "k", []), ("c", None, []), ("c", "k", "a.test"), ("c", "k", [1])])
def test_filter_refuses_other_types(arguments: tuple[Any, Any, Any]) -> None:
    with pytest.raises(AnsibleFilterError):
        tls.tls_pair_problems(*arguments)


# --- The end of an operator's certificate ---------------------------------------------------------------------------


def of_operator(certificate: tuple[str, str]) -> dict[str, Any]:
    return {**SHOP, "certificate": certificate[0], "key": certificate[1]}


def test_operators_certificate_that_ends_soon_is_told_once(run_stores: Run) -> None:
    entry = of_operator(given(days=13))
    result = run_stores(web={"certificates": [entry]}, mail={"certificates": [{**entry, "name": "other"}]})
    (warning,) = result["ending"]
    assert warning["part"] == "certificate other of mail"
    assert warning["what"].startswith(f"ends on {NOW + dt.timedelta(days=12):%Y-%m-%d}, in 12 days (a.test): ")
    assert run_stores(False, NOW, {"warn_days": 12}, web={"certificates": [entry]})["ending"] == []
    assert [store["ended"] for store in result["stores"].values()] == [{}, {}]


def test_authoritys_own_certificates_are_renewed_without_a_warning(run: Run) -> None:
    assert run(certificate_days=20, renew_days=5)["ending"] == []


def test_certificate_that_has_ended_stays_and_stops_nothing(run: Run, tmp_path: Path) -> None:
    entry = of_operator(given(days=20))
    run(entry, {"name": "other", "domains": ["b.test"]})
    before = (tmp_path / "tls/shop.pem").read_text()
    later = NOW + dt.timedelta(days=30)
    result = run(entry, {"name": "other", "domains": ["b.test", "c.test"]}, now=later)
    assert (tmp_path / "tls/shop.pem").read_text() == before
    assert result["changes"] == ["tls/other: issued for b.test, c.test (was for b.test)"]
    assert result["ended"]["shop"]["reason"].startswith("the certificate expired on ")
    assert result["ended"]["shop"]["serves"] == "the certificate that was there before"
    again = run(entry, {"name": "other", "domains": ["b.test", "c.test"]}, now=later)
    assert (again["changed"], again["ended"]) == (False, result["ended"]), "told again, changed no more"


def test_next_one_that_has_not_begun_leaves_what_serves(run: Run, tmp_path: Path) -> None:
    run(of_operator(given(days=60)))
    before = (tmp_path / "tls/shop.pem").read_text()
    result = run(of_operator(given(start=NOW + dt.timedelta(days=5))))
    assert (tmp_path / "tls/shop.pem").read_text() == before
    assert not result["changed"]
    assert "is not valid before" in result["ended"]["shop"]["reason"]


@pytest.mark.parametrize("check", [True, False])
def test_new_site_with_an_ended_one_is_served_by_the_authority(run: Run, check: bool) -> None:
    """So it is where what lies there is for other names, or is broken."""
    run()
    entry = {**of_operator(given(names=("b.test",), days=0.5)), "domains": ["b.test"]}
    result = run(entry, check=check)
    assert result["changes"] == ["tls/shop: issued for b.test (was for a.test)"]
    assert result["ended"]["shop"]["serves"] == "one of the stack's own authority"
    if not check:
        assert not run(entry)["changed"]


def test_other_faults_of_an_operators_pair_are_refused_still(run: Run) -> None:
    with pytest.raises(module.CertificateError, match="does not belong"):
        run(of_operator((given(days=0.5)[0], given()[1])))
