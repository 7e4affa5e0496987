"""What one site cannot be brought to holds up nothing else: it is told at the end of the run, with all problems."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.runs import Runs, words
from tests.support.sites import Site
from tests.support.stack import Stack

PORT = 8444
DOMAIN = "market.example.test"


def ended_certificate(folder: Path) -> dict[str, str]:
    """Make a certificate that ended three days ago, with its key; return their paths as a site's `tls` has them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now - dt.timedelta(days=3))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths = {"certificate": folder / "ended.crt", "key": folder / "ended.key"}
    paths["certificate"].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths["key"].write_bytes(key.private_bytes(*form))
    return {kind: str(path) for kind, path in paths.items()}


def with_fields(runs: Runs, folder: Path, fields: dict[str, str]) -> str:
    """Write the scenario's variables with further fields of sites, as text: their passwords are not for templates."""
    text = (runs.scenario / "vars/stack.yml").read_text(encoding="utf-8")
    for site, lines in fields.items():
        assert text.count(f"\n  {site}:\n    domain:") == 1, "control"
        text = text.replace(f"\n  {site}:\n    domain:", f"\n  {site}:\n{lines}    domain:")
    file = folder / "stack.yml"
    file.write_text(text, encoding="utf-8")
    return f"--extra-vars=@{file}"


def page(stack: Stack, site: Site) -> str:
    """Ask the web server for a site's front page; return the status."""
    resolve = f"{site.domain}:{PORT}:127.0.0.1"
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "30"]
    command += ["--cacert", f"{stack.data_directory}/ca/ca.crt", "--resolve", resolve, f"https://{site.domain}:{PORT}/"]
    return str(stack.host.check_output(" ".join(["%s"] * len(command)), *command))


@pytest.mark.destructive
def test_all_else_is_brought_into_its_state_and_served(
    runs: Runs, stack: Stack, sites: list[Site], tmp_path: Path
) -> None:
    """A site's container that never gets healthy, a theme that is not there, a certificate that has ended.

    All at once, and beside them another configuration of the web server, which comes after the sites.
    """
    other = ("--extra-vars=container_healthy_timeout=4", "--extra-vars=nginx_login_burst=19")
    tls = ended_certificate(tmp_path)
    broken = with_fields(
        runs,
        tmp_path,
        {
            # Too little for PHP to be there in four seconds.
            "harbour": "    cpus: 0.01\n",
            "market": f"    theme: nowhere\n    tls: {{certificate: {tls['certificate']}, key: {tls['key']}}}\n",
        },
    )
    runs.converge()
    before = runs.engine_now()
    result = runs.play("converge.yml", broken, *other)
    told = words(result)
    end = told.rpartition("3 problems. Everything else was brought into its state, and serves.")[2]
    assert result.returncode != 0
    assert "certificate market of nginx: the certificate expired on" in end
    assert "container quayside-wordpress-harbour: quayside-wordpress-harbour did not become healthy" in end
    assert "Still serves: the container that it was to replace." in end
    assert 'site market: theme: "nowhere" is neither in the image' in end
    assert end.count("What to do:") == 3
    now = runs.engine_now()
    assert now["quayside-wordpress-harbour"].identifier == before["quayside-wordpress-harbour"].identifier
    assert now.keys() == before.keys(), "nobody is left aside"
    assert "quayside-nginx has loaded something else than what is declared" in told
    assert {page(stack, site) for site in sites} == {"200"}

    # A check run says the same, and what is left of it says nothing any more.
    checked = words(runs.play("converge.yml", broken, *other, "--check"))
    assert "the certificate expired on" in checked
    assert 'could not be compared: theme: "nowhere" is neither in the image' in checked
    mended = runs.converge()
    assert {change["item"] for change in mended.changes} == {"nginx"}, "of all that failed nothing is left to do"
