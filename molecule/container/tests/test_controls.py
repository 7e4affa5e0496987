"""Negative controls: a container that breaks all of the contract fails every check of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.contract import test_secrets
from tests.contract.checks import CHECKS, Check
from tests.support.stack import Container, Stack

VILLAIN = "quayside-villain"


@pytest.fixture(scope="module")
def villain(stack: Stack, secrets: dict[str, str]) -> Iterator[Container]:
    """Run a container with every bad habit, outside of the stack (its label differs)."""
    secret = next(iter(secrets.values()))
    base = stack.host.check_output("docker images --quiet quayside/base_image").split()[0]
    setup = f"""
        docker run --name {VILLAIN}-image {base} true
        docker commit --change %s {VILLAIN}-image {VILLAIN}:latest
        mkdir --parents /srv/villain
        touch /srv/villain/password
        docker run --detach --name {VILLAIN} --label pressdock.stack=villainous --label pressdock.service=villain \
            --label pressdock.digest=latest --user root --security-opt seccomp=unconfined --pid host --ipc host \
            --publish 127.0.0.1:7999:80 --volume /run:/machine --volume /srv/villain:/run/secrets --volume /anonymous \
            --tmpfs /scratch:exec --log-driver json-file --restart no --env LEAK=%s {VILLAIN}:latest \
            sh -c 'cp /usr/bin/true /gain; chmod 4755 /gain; echo "$LEAK"; exec sleep 9999'
        docker pause {VILLAIN}
    """
    stack.host.check_output(setup, f'LABEL leak="{secret}"', secret)
    yield Container(stack.host, VILLAIN, "villainous")
    stack.host.run(
        f"docker unpause {VILLAIN}; docker rm --force --volumes {VILLAIN} {VILLAIN}-image;"
        f" docker image rm {VILLAIN}:latest; rm -r /srv/villain"
    )


@pytest.mark.destructive
@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_check_can_fail(villain: Container, check: Check) -> None:
    with pytest.raises(AssertionError):
        check(villain)


@pytest.mark.destructive
@pytest.mark.parametrize(
    "search",
    [
        test_secrets.test_not_in_inspect,
        test_secrets.test_not_in_image,
        test_secrets.test_not_in_processes,
        test_secrets.test_not_in_logs,
    ],
)
def test_search_for_secrets_can_fail(
    villain: Container, secrets: dict[str, str], search: Callable[[Container, dict[str, str]], None]
) -> None:
    with pytest.raises(AssertionError):
        search(villain, secrets)
