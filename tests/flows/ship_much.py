"""Ship `argv[2]` lines of 100 bytes to `argv[1]` in a process of its own; print what it took."""

import json
import re
import resource
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from barbeque_py import clock
from barbeque_py.logstores.directory import DirectoryLogStore
from barbeque_py.shipment import Shipment, Shipping

BATCH = 1_000


class MuchText:
    """A container that writes without end, until it has written enough."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    def batches(self, *, follow: bool) -> Iterator[list[bytes]]:
        words = b"frame 1234 of 98765 encoded in 17 ms, queue default, status ok, /var/lib/media "
        for first in range(0, self._lines, BATCH):
            numbers = range(first, min(first + BATCH, self._lines))
            yield [
                b"2026-11-21T20:00:00.%09dZ out %b%020d" % (n % 10**9, words, n * 7919**3 % 10**20)
                for n in numbers
            ]


def peak_megabytes() -> int:
    """Return this program's peak; ru_maxrss would begin with that of the process that forked it."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) // 1024


def main(folder: Path, lines: int) -> None:
    begun = clock.monotonic()
    shipment = Shipment(
        MuchText(lines),
        DirectoryLogStore(folder / "logs"),
        "media/Encode/id/1/",
        shipping=Shipping(spool_folder=folder, live_every=timedelta(seconds=0.1)),
    )
    shipment.run()
    facts = shipment.seal()
    shipment.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    told = {
        "bytes": facts.bytes,
        "seconds": round(clock.monotonic() - begun, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": peak_megabytes(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
