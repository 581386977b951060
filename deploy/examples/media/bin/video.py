"""What the commands of this app share: the message, the files, and ffmpeg with its progress."""

import json
import os
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def message() -> dict[str, Any]:
    """Return what the job was asked to do."""
    job: dict[str, Any] = json.loads(os.environ["BARBEQUE_MESSAGE"])
    return job


def download(url: str, path: Path) -> None:
    """Write what is at the URL to a file."""
    with urllib.request.urlopen(url, timeout=60) as response, path.open("wb") as file:
        while block := response.read(1 << 20):
            file.write(block)


def upload(path: Path, target: str | dict[str, Any]) -> None:
    """Put a file at a target; putting it twice is the same as once, so a retried job does no harm.

    The target is what file names are appended to, an address that takes PUT, or else a form for
    S3, as boto3's `generate_presigned_post` makes them: then the job needs no keys of AWS, and can
    do no more than put files below one prefix for as long as the form is good.
    """
    if isinstance(target, str):
        request = urllib.request.Request(target + path.name, path.read_bytes(), method="PUT")
    else:
        request = _filled_in(target, path)
    urllib.request.urlopen(request, timeout=60).close()


def _filled_in(form: dict[str, Any], path: Path) -> urllib.request.Request:
    """Return the request of a browser that posts the form with the file."""
    boundary = uuid.uuid4().hex
    fields = [f'name="{name}"\r\n\r\n{text}\r\n' for name, text in form["fields"].items()]
    fields.append(f'name="file"; filename="{path.name}"\r\n\r\n')  # S3 wants it to be the last
    head = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {each}" for each in fields)
    body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    return urllib.request.Request(form["url"], body, {"Content-Type": kind})


def measure(path: Path) -> tuple[float, int]:
    """Return how long a video is, in seconds, and about how many frames it has."""
    answer = subprocess.run(
        ["ffmpeg", "-hide_banner", "-i", path], capture_output=True, text=True, check=False
    ).stderr
    length = re.search(r"Duration: (\d+):(\d+):([\d.]+)", answer)
    if not length:
        sys.exit(f"not a video: {path.name}\n{answer}")
    hours, minutes, seconds = length.groups()
    duration = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    rate = re.search(r"([\d.]+) fps", answer)
    return duration, round(duration * float(rate.group(1) if rate else 25))


def ffmpeg(*arguments: object, frame: Callable[[int], None] = lambda _: None) -> None:
    """Run ffmpeg, telling `frame` how far it is; the job fails when ffmpeg does."""
    command = ["ffmpeg", "-nostdin", "-y", "-loglevel", "error", "-progress", "pipe:1"]
    command += [str(argument) for argument in arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        for line in running.stdout or ():
            if line.startswith("frame="):
                frame(int(line.removeprefix("frame=")))
    if running.returncode:
        sys.exit(f"ffmpeg failed with exit code {running.returncode}")


class Progress:
    """Prints how far a job is, once for each tenth of the way."""

    def __init__(self, unit: str, total: int) -> None:
        """Count `total` of something."""
        self.unit, self.total, self.printed = unit, max(total, 1), -1

    def __call__(self, done: int) -> None:
        """Tell that so many are done."""
        done = min(done, self.total)
        if (tenth := 10 * done // self.total) > self.printed:
            self.printed = tenth
            percent = 100 * done // self.total
            print(f"progress {percent}% {self.unit} {done} of {self.total}", flush=True)
