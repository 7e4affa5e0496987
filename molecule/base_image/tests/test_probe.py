"""The health probe, green and red, against small servers in the same container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Image

# Answers each connection with $ANSWER (C escapes allowed) once the end of the request has come, and keeps the request.
SERVER = r"""
cat > /tmp/server.pl <<'END'
use strict; use warnings; use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 7000, Listen => 5, ReuseAddr => 1) or die $@;
my $answer = $ENV{ANSWER}; $answer =~ s/\\x([0-9a-f]{2})|\\r|\\n/defined $1 ? chr hex $1 : $& eq '\\r' ? "\r" : "\n"/ge;
while (my $client = $server->accept) {
    sysread $client, my $request, 65536;
    open my $note, '>', '/tmp/request'; print $note $request; close $note;
    $answer eq 'silence' ? sleep 60 : print $client $answer;
    close $client;
}
END
perl /tmp/server.pl & sleep 0.5
"""


def fastcgi(content: str, kind: int = 6) -> str:
    """Write one FastCGI record the way the server's $ANSWER is written."""
    header = bytes([1, kind, 0, 1, *len(content.encode()).to_bytes(2, "big"), 0, 0])
    return "".join(f"\\x{byte:02x}" for byte in header + content.encode())


END = fastcgi("\0\0\0\0\0\0\0\0", 3)


def probe(image: Image, arguments: str, answer: str, rest: str = "") -> tuple[int, str]:
    """Return the probe's exit code and all its output."""
    script = f"{SERVER} probe {arguments} 2>&1; code=$?; {rest} exit $code"
    result = image.run(script, "--env", f"ANSWER={answer}", "--env", "PROBE_TIMEOUT=2")
    return result.rc, result.stdout


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("HTTP/1.1 200 OK\\r\\n\\r\\nfine", 0),
        ("HTTP/1.0 302 Found\\r\\n\\r\\n", 0),
        ("HTTP/1.1 404 Not Found\\r\\n\\r\\n", 1),
        ("HTTP/1.1 500 Oops\\r\\n\\r\\n", 1),
        ("SSH-2.0-OpenSSH_9.2\\r\\n", 1),
        ("", 1),
        # Hung: it must not hang too.
        ("silence", 1),
    ],
)
def test_http(image: Image, answer: str, code: int) -> None:
    assert probe(image, "http 127.0.0.1:7000 /", answer)[0] == code


def test_http_asks_for_the_path_and_the_host(image: Image) -> None:
    _, output = probe(
        image, "http 127.0.0.1:7000 /dock harbour.example", "HTTP/1.1 200 OK\\r\\n\\r\\n", "cat /tmp/request;"
    )
    assert "GET /dock HTTP/1.0\r\n" in output.replace("\n", "\r\n").replace("\r\r", "\r")
    assert "Host: harbour.example" in output


@pytest.mark.parametrize(
    ("answer", "code", "output"),
    [
        ("HTTP/1.1 200 OK\\r\\nX-Head: er\\r\\n\\r\\nfine\\n\\n", 0, "fine\n\n"),
        ("HTTP/1.1 200 OK\\r\\n\\r\\n", 0, ""),
        ("HTTP/1.1 302 Found\\r\\n\\r\\nelsewhere", 1, "probe: 127.0.0.1:7000/: status 302\n"),
        ("HTTP/1.1 200 OK\\r\\nX-Head: er\\r\\n", 1, "probe: connection closed in the middle of an answer\n"),
        ("silence", 1, "probe: no answer within 2 s\n"),
    ],
)
def test_http_body(image: Image, answer: str, code: int, output: str) -> None:
    assert probe(image, "http-body 127.0.0.1:7000 /", answer) == (code, output)


@pytest.mark.parametrize(
    ("answer", "code", "output"),
    [
        (fastcgi("Content-Type: text/plain\r\n\r\npong") + END, 0, "pong"),
        # A body in two records.
        (fastcgi("Content-Type: text/plain\r\n\r\npo") + fastcgi("ng") + END, 0, "pong"),
        (fastcgi("Status: 503 Busy\r\n\r\npong") + END, 1, "probe: 127.0.0.1:7000 /ping: status 503\n"),
        (fastcgi("Status: 302 Found\r\n\r\n") + END, 1, "probe: 127.0.0.1:7000 /ping: status 302\n"),
        (fastcgi("cut off"), 1, "probe: connection closed in the middle of an answer\n"),
        ("HTTP/1.1 400 Bad Request\\r\\n\\r\\n", 1, "probe: connection closed in the middle of an answer\n"),
        ("silence", 1, "probe: no answer within 2 s\n"),
    ],
)
def test_fastcgi(image: Image, answer: str, code: int, output: str) -> None:
    assert probe(image, "fastcgi 127.0.0.1:7000 /ping", answer) == (code, output)


@pytest.mark.parametrize("kind", ["http", "http-body", "fastcgi"])
def test_nobody_listens(image: Image, kind: str) -> None:
    code, output = probe(image, f"{kind} 127.0.0.1:7001 /ping", "HTTP/1.1 200 OK\\r\\n\\r\\n")
    assert code == 1
    assert "127.0.0.1:7001" in output


@pytest.mark.parametrize("arguments", ["", "http", "http 127.0.0.1:7000", "telnet 127.0.0.1:7000 /"])
def test_wrong_use_is_not_taken_for_health(image: Image, arguments: str) -> None:
    code, output = probe(image, arguments, "HTTP/1.1 200 OK\\r\\n\\r\\n")
    assert code == 2
    assert "usage" in output


@pytest.mark.parametrize(
    ("arguments", "hosts", "code"),
    [
        # 127.0.0.2 refuses; nobody has an address of 192.0.2.0/24, which is for documentation.
        ("http pair:7000 /", ("127.0.0.2", "127.0.0.1"), 0),
        ("http pair:7000 /", ("127.0.0.2",), 1),
        ("--own http pair:7000 /", ("192.0.2.9", "127.0.0.1"), 0),
        ("--own http pair:7000 /", ("192.0.2.9",), 1),
    ],
)
def test_name_with_several_addresses(image: Image, arguments: str, hosts: tuple[str, ...], code: int) -> None:
    """All are tried, or those alone that are the container's own: no other is even called."""
    names = [word for host in hosts for word in ("--add-host", f"pair:{host}")]
    result = image.run(
        f"{SERVER} probe {arguments} 2>&1",
        "--env",
        "ANSWER=HTTP/1.1 200 OK\\r\\n\\r\\n",
        "--env",
        "PROBE_TIMEOUT=2",
        *names,
    )
    assert result.rc == code, result.stdout
    if code and "--own" in arguments:
        assert "Cannot assign requested address" in result.stdout
