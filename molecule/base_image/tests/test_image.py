"""What is in the image, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .conftest import Image

MEGABYTE = 1_000_000


def test_release(image: Image) -> None:
    assert "VERSION_CODENAME=bookworm" in image.run("cat /etc/os-release").stdout.splitlines()


def test_no_setuid_files(image: Image) -> None:
    """Control first: the search finds one, and passwd, which Debian delivers setuid, is there."""
    search = "find / -xdev -type f -perm /6000"
    assert image.run(f"chmod u+s /usr/bin/passwd; {search}").stdout == "/usr/bin/passwd\n"
    assert image.run(search).stdout == ""


@pytest.mark.parametrize(
    "directory",
    ["/usr/share/man", "/usr/share/info", "/usr/share/locale", "/var/lib/apt/lists", "/var/cache/apt/archives"],
)
def test_no_ballast(image: Image, directory: str) -> None:
    assert image.run(f"find {directory} -type f ! -name lock ! -name locale.alias").stdout == ""


def test_no_documentation(image: Image) -> None:
    """Only licences, and those of the package that was installed into the image too."""
    assert image.run("find /usr/share/doc ! -type d ! -name copyright").stdout == ""
    assert image.run("command -v bc").rc == 0
    assert image.run("test -s /usr/share/doc/bc/copyright").rc == 0


def test_users_have_the_declared_ids(image: Image) -> None:
    entries = [line.split(":") for line in image.run("getent passwd; getent group").stdout.splitlines()]
    for name, identifier in {"mysql": "710", "redis": "711", "stoker": "740"}.items():
        user, group = [entry for entry in entries if entry[0] == name]
        assert user[2:4] == [identifier, identifier]
        assert user[5:7] == ["/nonexistent", "/usr/sbin/nologin"]
        assert group[2] == identifier
    # The declared ones replace the defaults.
    assert not [entry for entry in entries if entry[0] in {"nginx", "wordpress", "cadvisor"}]


def test_users_have_no_password(image: Image) -> None:
    shadow = [line.split(":")[:2] for line in image.run("cat /etc/shadow").stdout.splitlines()]
    assert shadow
    assert not [name for name, password in shadow if not password.startswith(("!", "*"))]


def test_certificate_of_the_machine_is_trusted(image: Image) -> None:
    """A certificate that the machine's authority has signed verifies in a container, one of another's does not."""
    authority = image.host.file("/usr/local/share/ca-certificates/harbour.crt").content_string
    script = 'printf "%s" "$AUTHORITY" > /tmp/a.crt; openssl verify -x509_strict /tmp/a.crt'
    assert image.run(script, "--env", f"AUTHORITY={authority}").stdout == "/tmp/a.crt: OK\n"  # noqa: S108 -- in it
    stranger = image.host.check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN=Stranger -keyout /dev/null"
    )
    assert image.run(script, "--env", f"AUTHORITY={stranger}").rc != 0


def test_environment(image: Image) -> None:
    inspected: dict[str, Any] = json.loads(image.host.check_output("docker image inspect %s", image.newest))[0]
    assert "LANG=C.UTF-8" in inspected["Config"]["Env"]
    labels = inspected["Config"]["Labels"]
    assert labels["pressdock.stack"] == "quayside"
    assert labels["pressdock.service"] == "base_image"
    assert image.newest.endswith(f":{labels['pressdock.digest']}")


def test_size(image: Image, record_property: Callable[[str, object], None]) -> None:
    """Small, and its size stands in the report (pytest --junit-xml)."""
    size = int(image.host.check_output("docker image inspect --format '{{.Size}}' %s", image.newest))
    record_property("base_image_bytes", size)
    # Bookworm with bc, openssl and the certificates; every service's image is built upon it.
    assert size < 150 * MEGABYTE, f"{size / MEGABYTE:.0f} MB"
