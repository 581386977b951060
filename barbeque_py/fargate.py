"""Fargate's sizes: the pairs of CPU and memory that a task can have."""

_GIB = 1024
_SIZES = {
    256: (512, 1 * _GIB, 2 * _GIB),
    512: tuple(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}
LARGEST = (16_384, 120 * _GIB)
"""CPU (1024 is one vCPU) and MiB of the largest task."""


def fargate_size(cpu: int, memory: int) -> tuple[int, int]:
    """Return the smallest size with so much CPU (1024 is one vCPU) and memory (MiB).

    Raises `ValueError` when Fargate has none.
    """
    for size, memories in _SIZES.items():
        if size >= cpu and memories[-1] >= memory:
            return size, next(each for each in memories if each >= memory)
    raise ValueError(
        f"Fargate has no task of cpu {cpu} and memory {memory}; "
        f"its largest is cpu {LARGEST[0]}, memory {LARGEST[1]}"
    )
