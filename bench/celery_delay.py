"""The yardstick of enqueue: so many `.delay()` of a Celery task over SQS, and their CPU time.

Celery is not among our dependencies: `pip install 'celery[sqs]'` beside them, or name a Python that
has it in BENCH_CELERY_PYTHON.
"""

import json
import sys
import time
from urllib.parse import urlsplit

from celery import Celery  # type: ignore[import-not-found, unused-ignore]


def main() -> None:
    """Call `.delay()`; print how many calls a CPU-second of this process makes."""
    endpoint, url, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    target = urlsplit(endpoint)
    app = Celery("bench", broker=f"sqs://test:test@{target.netloc}")
    app.conf.broker_transport_options = {
        "region": "us-east-1",
        "is_secure": target.scheme == "https",
        "predefined_queues": {
            "celery": {"url": url, "access_key_id": "test", "secret_access_key": "test"}
        },
    }
    app.conf.task_ignore_result = True

    @app.task  # type: ignore[untyped-decorator, unused-ignore]
    def thumbnail(image: str, sizes: list[int], user: int) -> None:
        """Do nothing: no worker runs it."""

    def call() -> None:
        thumbnail.delay(image="s3://bucket/key.jpg", sizes=[64, 128, 256], user=12345)

    for _ in range(10):
        call()
    began, cpu = time.monotonic(), time.process_time()
    for _ in range(count):
        call()
    spent, took = time.process_time() - cpu, time.monotonic() - began
    print(json.dumps({"per_cpu": count / spent, "rate": count / took}))


if __name__ == "__main__":
    main()
