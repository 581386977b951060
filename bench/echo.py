"""The yardstick of enqueue: a FastAPI app that reads a job and answers, and does nothing else."""

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Job(BaseModel):
    """What is posted."""

    application: str
    job: str
    queue: str
    message: Any


app = FastAPI()


@app.post("/v2/job_executions", status_code=201)
async def echo(job: Job) -> dict[str, Any]:
    """Answer in the shape of the API's answer."""
    return {"message_id": job.job, "status": "pending", "id": None}


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])
