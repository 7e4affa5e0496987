"""Questions that the scenarios' sites are asked: through WordPress itself, and through their tables."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.runs import without_colours
from tests.support.stack import Container, Stack

CORE = "/usr/share/wordpress"


def evaluate(container: Container, expression: str, host: str, path: str = "/") -> Any:
    """Let WordPress evaluate a PHP expression, as in a request of an address; returns what JSON can say of it.

    :param host: with its port, as a browser sends it.
    """
    result = container.run(
        "php",
        "-r",
        f"$_SERVER['HTTP_HOST'] = '{host}'; $_SERVER['HTTPS'] = 'on'; $_SERVER['REQUEST_URI'] = '{path}';"
        f"require '{CORE}/wp-load.php'; echo json_encode({expression});",
    )
    assert result.rc == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def ask_database(stack: Stack, database: str, statement: str) -> str:
    """Return the database server's answer, a line for each row."""
    arguments = ("mariadb", "--batch", "--raw", "--skip-column-names", database, "--execute", statement)
    result = stack.container("mariadb").run(*arguments)
    assert result.rc == 0, result.stderr
    return str(result.stdout).strip("\n")


def said(output: str, site: str) -> list[str]:
    """Return what a run printed about the changes of a site."""
    plain = without_colours(output)
    task = plain.partition("TASK [wordpress : Sites | Name what differed]")[2].partition("\nTASK [")[0]
    part = task.partition(f"(item={site})")[2].partition("(item=")[0].partition("\nPLAY RECAP")[0]
    lines = re.findall(r"(?m)^    - (.*(?:\n      .*)*)", part)
    return [re.sub(r"\s+", " ", line.strip("'").replace("''", "'")) for line in lines]
