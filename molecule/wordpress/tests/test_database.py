"""Requests while the database server hangs, at any moment: WordPress's own core against a stand-in for the server."""

from __future__ import annotations

from .conftest import Site


def test_request_does_not_wait_for_a_database_that_hangs(hafen: Site) -> None:
    """In a container of the site's image, for the site itself has a server that answers."""
    image = hafen.container.inspect["Config"]["Image"]
    program = "/tmp/database_test.php"  # noqa: S108 -- of the container
    result = hafen.container.host.run(
        "docker run --rm --network none --volume /root/database_test.php:%s:ro %s php %s", program, image, program
    )
    assert result.rc == 0, result.stdout + result.stderr
    assert result.stdout.count("ok ") > 15
