"""How often each operation was called."""

from collections import Counter


class Counts:
    """Calls by service and operation since the last reset; refused calls count, as AWS bills."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, service: str, operation: str) -> None:
        """Count one call."""
        counter = self._counts.get(service)
        if counter is None:
            counter = self._counts[service] = Counter()
        counter[operation] += 1

    def told(self) -> dict[str, dict[str, int]]:
        """Return the counts."""
        return {service: dict(counter) for service, counter in self._counts.items()}

    def reset(self) -> None:
        """Begin at nothing."""
        self._counts.clear()
