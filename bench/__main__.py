"""Prints every figure: `python -m bench`, with `--json` one JSON object a script."""

import sys

from bench import calls, containers, enqueue, exit_latency, launch_rate, start_latency

for script in (enqueue, start_latency, exit_latency, containers, calls, launch_rate):
    script.main(sys.argv[1:])
