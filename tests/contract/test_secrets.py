"""No secret is where it could be read by others: searched for by value, raw and encoded."""

from __future__ import annotations

import base64
import urllib.parse

import pytest

from tests.support.stack import Container, Stack

TEMPORARY = ["/tmp", "/var/tmp"]  # noqa: S108 -- they are searched, nothing is written


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret could be written down."""
    raw = secret.encode()
    return {
        secret,
        secret[::-1],
        raw.hex(),
        # Without the last group: what surrounds the secret changes how it ends.
        base64.b64encode(raw).decode().rstrip("=")[:-4],
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
    } - {""}


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Name the secrets that occur in a text in any spelling."""
    return [name for name, secret in secrets.items() if any(spelling in text for spelling in spellings(secret))]


@pytest.fixture(scope="module", autouse=True)
def _secrets_exist(secrets: dict[str, str]) -> None:
    """Refuse to search for nothing, which would find nothing."""
    assert secrets
    assert all(len(secret) >= 12 for secret in secrets.values())


@pytest.mark.parametrize("encode", [str, lambda s: s.encode().hex(), urllib.parse.quote], ids=["raw", "hex", "url"])
def test_search_finds_a_planted_secret(secrets: dict[str, str], encode: object) -> None:
    assert callable(encode)
    name, secret = next(iter(secrets.items()))
    assert name in leaks(f"before {encode(secret)} after", secrets)


def test_not_in_inspect(container: Container, secrets: dict[str, str]) -> None:
    text = container.host.check_output("docker inspect %s", container.name)
    assert leaks(text, secrets) == []


def test_not_in_image(container: Container, secrets: dict[str, str]) -> None:
    """Neither in its configuration nor in the commands that built it."""
    text = container.host.check_output(
        "docker image inspect %s && docker history --no-trunc %s",
        container.inspect["Image"],
        container.inspect["Image"],
    )
    assert leaks(text, secrets) == []


def test_not_in_processes(container: Container, secrets: dict[str, str]) -> None:
    """Neither in the arguments nor in the environment of any process."""
    pids = [str(process.pid) for process in container.processes]
    files = " ".join(f"/proc/{pid}/cmdline /proc/{pid}/environ" for pid in pids)
    # A process that has ended meanwhile (a health check) is none that keeps a secret.
    text = container.host.run(f"cat {files} | tr '\\0' '\\n'").stdout
    # Arguments always; an environment not of every process (nginx writes its title over it).
    assert text.strip("\n")
    assert leaks(text, secrets) == []


def test_not_in_logs(container: Container, secrets: dict[str, str]) -> None:
    assert leaks(container.logs(), secrets) == []


def test_not_in_readable_files(stack: Stack, secrets: dict[str, str]) -> None:
    """No file that others may read, below the stack's directory or in the machine's temporary ones, holds one."""
    sources = {
        m["Source"] for c in stack.containers() for m in c.inspect["Mounts"] if m["Destination"] == "/run/secrets"
    }
    assert sources
    roots = sorted({source.rpartition("/secrets/")[0] for source in sources})
    find = f"find {' '.join([*roots, *TEMPORARY])} /etc -xdev -type f -perm /044 -size -1024k"
    readable = set(stack.host.run(find).stdout.split())
    pattern = "\n".join(secrets.values())
    found = stack.host.run(
        "printf '%%s' %s | grep --recursive --files-with-matches --fixed-strings --file=- "
        + " ".join([*roots, *TEMPORARY]),
        pattern,
    ).stdout.split()
    # The search itself works: it finds the secret files, which others cannot read.
    assert [path for path in found if "/secrets/" in path]
    assert [path for path in found if path in readable and not path.startswith(tuple(sources))] == []
