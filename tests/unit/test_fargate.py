"""Sizes are rounded up to what Fargate has."""

import pytest

from barbeque_py.fargate import LARGEST, fargate_size
from tests.cloud.sizes import FARGATE


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((1, 6), (256, 512)),
        ((256, 513), (256, 1024)),
        ((256, 2049), (512, 3072)),
        ((257, 512), (512, 1024)),
        ((1024, 512), (1024, 2048)),
        ((512, 5000), (1024, 5120)),
        ((5000, 1), (8192, 16384)),
        ((8192, 16385), (8192, 20480)),
        (LARGEST, LARGEST),
    ],
)
def test_a_size_is_rounded_up_to_the_smallest_that_has_both(
    asked: tuple[int, int], given: tuple[int, int]
) -> None:
    assert fargate_size(*asked) == given


def test_every_size_of_fargate_is_its_own() -> None:
    for cpu, memories in FARGATE.items():
        for memory in memories:
            assert fargate_size(cpu, memory) == (cpu, memory)


@pytest.mark.parametrize("asked", [(16_385, 512), (256, 122_881)])
def test_what_is_larger_than_any_is_refused(asked: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="its largest is cpu 16384, memory 122880"):
        fargate_size(*asked)
