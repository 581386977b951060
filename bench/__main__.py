"""Prints every figure: `python -m bench`, with `--json` one JSON object a script."""

import sys

from bench import (
    calls,
    containers,
    enqueue,
    enqueue_sqs,
    exit_latency,
    launch_rate,
    queue_path,
    start_latency,
)

for each in (
    enqueue,
    enqueue_sqs,
    start_latency,
    exit_latency,
    containers,
    calls,
    launch_rate,
    queue_path,
):
    each.main(sys.argv[1:])
