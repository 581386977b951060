"""Prints every figure: `python -m bench`, with `--json` one JSON object a script."""

import sys

from bench import containers, enqueue, exit_latency, start_latency

for script in (enqueue, start_latency, exit_latency, containers):
    script.main(sys.argv[1:])
