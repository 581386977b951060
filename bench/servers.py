"""The yardsticks of enqueue as servers of their own: what one would write first.

`sqs` makes one boto3 call a request, `commit` one transaction in SQLite a request, both behind
FastAPI and pydantic, on the uvicorn that ours runs on.
"""

import argparse
import json
import socket
import sqlite3
import threading
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

_TABLE = "CREATE TABLE jobs (id INTEGER PRIMARY KEY, message_id TEXT UNIQUE, queue TEXT, body TEXT)"


class Job(BaseModel):
    """What is posted."""

    application: str
    job: str
    queue: str
    message: Any


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("sqs", "commit"))
    parser.add_argument("target", help="the queue's URL, or the database's path")
    given = parser.parse_args()
    keep = _send(given.target) if given.kind == "sqs" else _commit(given.target)
    app = FastAPI()

    @app.post("/v2/job_executions", status_code=201)
    def accept(job: Job) -> dict[str, Any]:
        """Keep the job by itself, then answer."""
        message_id = str(uuid.uuid4())
        body = {"MessageId": message_id, **job.model_dump()}
        keep(message_id, job.queue, json.dumps(body))
        return {"message_id": message_id, "status": "pending", "id": None}

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


Keep = Callable[[str, str, str], None]


def _send(url: str) -> Keep:
    client = boto3.client("sqs")

    def keep(_message_id: str, _queue: str, body: str) -> None:
        client.send_message(QueueUrl=url, MessageBody=body)

    return keep


def _commit(path: str) -> Keep:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_TABLE)
    guard = threading.Lock()

    def keep(message_id: str, queue: str, body: str) -> None:
        row = "INSERT INTO jobs (message_id, queue, body) VALUES (?, ?, ?)"
        with guard:
            connection.execute(row, (message_id, queue, body))

    return keep


if __name__ == "__main__":
    main()
