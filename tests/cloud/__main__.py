"""`python -m tests.cloud`: all of AWS on one address, until SIGTERM or the end of stdin."""

import argparse
import asyncio
import json
import os
import signal
import sys
import threading

import uvloop

from tests.cloud.server import Cloud

_TURN = 0.0005
"""Seconds a thread of moto's may hold the interpreter while the front waits for it."""


def main() -> None:
    """Serve, and print where."""
    words = argparse.ArgumentParser(prog="python -m tests.cloud", description=__doc__)
    words.add_argument("--host", default="127.0.0.1")
    words.add_argument("--port", type=int, default=0)
    words.add_argument("--seed", type=int, default=0)
    asked = words.parse_args()
    sys.setswitchinterval(_TURN)
    uvloop.run(_serve(asked.host, asked.port, asked.seed))


async def _serve(host: str, port: int, seed: int) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ending.set)
    threading.Thread(target=_watch_stdin, args=(loop, ending), daemon=True).start()
    cloud = Cloud(seed=seed)
    try:
        print(json.dumps({"endpoint": await cloud.start(host, port)}), flush=True)
        await ending.wait()
    finally:
        await cloud.close()


def _watch_stdin(loop: asyncio.AbstractEventLoop, ending: asyncio.Event) -> None:
    """End with whoever started us, however that one ended."""
    while os.read(0, 4096):  # not by sys.stdin: its lock is not to be held while Python ends
        pass
    loop.call_soon_threadsafe(ending.set)


if __name__ == "__main__":
    main()
