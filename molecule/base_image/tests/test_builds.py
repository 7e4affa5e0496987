"""When the image is built again, and when not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.runs import Sequence

if TYPE_CHECKING:
    from tests.support.runs import Runs
    from tests.support.stack import Stack

    from .conftest import Image

BUILD = ("Build | Start the builds", "base_image")


def test_runs_of_the_sequence(sequence: Sequence) -> None:
    """Predicted on a bare machine, built, left alone, and nothing more to say."""
    assert sequence.bare
    assert sequence.left
    runs = [sequence.bare, sequence.first, sequence.second, sequence.left]
    built = [sorted({BUILD} & run.changed_items) for run in runs]
    assert built == [[BUILD], [BUILD], [], []]
    assert [bool(run.changes) for run in runs] == [True, True, False, False]


@pytest.fixture
def _cut_off(stack: Stack) -> Iterator[None]:
    """Take away every way out of the machine."""
    outside = "ip route get 198.51.100.1"
    route = stack.host.check_output("ip route show default")
    assert stack.host.run(outside).rc == 0, "control"
    stack.host.check_output("ip route del default")
    try:
        assert stack.host.run(outside).rc != 0
        yield
    finally:
        stack.host.check_output(f"ip route add {route}")


@pytest.mark.destructive
@pytest.mark.usefixtures("_cut_off")
def test_existing_image_needs_no_archive(runs: Runs, image: Image) -> None:
    before = image.references
    assert not runs.converge().changes
    assert image.references == before


@pytest.mark.destructive
@pytest.mark.usefixtures("_cut_off")
def test_failed_build_leaves_what_is_there(runs: Runs, image: Image) -> None:
    """Without the archive another epoch cannot be built: it says so, and the image that is there stays."""
    before = {reference: image.identifier(reference) for reference in image.references}
    result = runs.play("converge.yml", "--extra-vars", "stack_image_epoch=2031-07")
    assert result.returncode != 0
    assert {reference: image.identifier(reference) for reference in image.references} == before


@pytest.mark.destructive
def test_another_epoch_is_another_image(runs: Runs, image: Image) -> None:
    before = image.references
    epoch = ["--extra-vars", "stack_image_epoch=2031-06"]
    assert BUILD in runs.converge(*epoch).changed_items
    assert len(image.references) == len(before) + 1
    assert image.newest not in before
    # Once: the next run with it has nothing to do, nor has one with the old epoch, whose image is still there.
    assert not runs.converge(*epoch).changes
    assert not runs.converge().changes


# The scenario container repairs an image's name in the same way.
@pytest.mark.thorough
@pytest.mark.destructive
def test_removed_image_is_built_again(runs: Runs, image: Image, stack: Stack) -> None:
    reference = image.references[-1]
    stack.host.check_output("docker image rm --force %s", reference)
    assert reference not in image.references
    assert BUILD in runs.converge().changed_items
    assert reference in image.references
