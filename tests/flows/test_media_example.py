"""The media example's commands, run as a job runs them."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import imageio_ffmpeg
import pytest

from storage import Storage

COMMANDS = Path(__file__).parents[2] / "deploy/examples/media/bin"
SECONDS = 6


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a PATH on which `ffmpeg` is the one of the PyPI package."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return f"{folder}:/usr/local/bin:/usr/bin:/bin"


@pytest.fixture
def shelf(tmp_path: Path, path: str) -> Iterator[tuple[Path, str]]:
    """Return a directory with a video, and the URL at which it is served."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    video = ("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=10:duration={SECONDS}")
    sound = ("-f", "lavfi", "-i", f"sine=duration={SECONDS}", "-pix_fmt", "yuv420p")
    command = ["ffmpeg", "-loglevel", "error", *video, *sound, str(folder / "sample.mp4")]
    subprocess.run(command, check=True, env={"PATH": path})
    with Storage(folder) as storage:
        yield folder, f"http://127.0.0.1:{storage.port}/"


def run(command: str, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMANDS / command],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def run_with_message(command: str, path: str, **message: object) -> list[str]:
    ended = run(command, path, BARBEQUE_MESSAGE=json.dumps(message))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def dimensions(file: Path, path: str) -> str:
    told = subprocess.run(
        ["ffmpeg", "-i", file], capture_output=True, text=True, check=False, env={"PATH": path}
    ).stderr
    found = re.search(r"Video: .*?, (\d{2,}x\d{2,})", told)
    assert found, told
    return found[1]


def test_one_thumbnail_is_made_for_every_so_many_seconds(
    shelf: tuple[Path, str], path: str
) -> None:
    folder, url = shelf
    message = {"source": f"{url}sample.mp4", "target": f"{url}made/", "every": 2, "width": 200}
    lines = run_with_message("thumbnail", path, **message)
    names = [f"thumbnail-000{number}.jpg" for number in (1, 2, 3)]
    assert sorted(file.name for file in (folder / "made").iterdir()) == names
    assert {dimensions(folder / "made" / name, path) for name in names} == {"200x112"}
    assert len({(folder / "made" / name).read_bytes() for name in names}) == 3
    assert lines[:-1] == [f"progress {100 * n // 3}% picture {n} of 3" for n in (1, 2, 3)]
    assert json.loads(lines[-1]) == {"pictures": names, "width": 200}


def test_an_encoded_video_is_smaller_and_its_progress_reaches_the_last_frame(
    shelf: tuple[Path, str], path: str
) -> None:
    folder, url = shelf
    message = {"source": f"{url}sample.mp4", "target": f"{url}made/", "width": 160}
    lines = run_with_message("encode", path, **message)
    small = folder / "made" / "small.mp4"
    assert dimensions(small, path) == "160x90"
    assert lines[-2] == f"progress 100% frame {10 * SECONDS} of {10 * SECONDS}"
    sizes = {"bytes": small.stat().st_size, "of": (folder / "sample.mp4").stat().st_size}
    assert json.loads(lines[-1]) == {"video": "small.mp4", **sizes}
    assert sizes["bytes"] < sizes["of"]


def test_a_source_that_is_no_video_fails_the_job_with_a_reason(
    shelf: tuple[Path, str], path: str
) -> None:
    folder, url = shelf
    (folder / "notes.txt").write_text("no video")
    message = json.dumps({"source": f"{url}notes.txt", "target": f"{url}made/"})
    ended = run("thumbnail", path, BARBEQUE_MESSAGE=message)
    assert ended.returncode != 0
    assert "not a video" in ended.stderr
    assert not (folder / "made").exists()


@pytest.mark.parametrize(("retry_count", "exit_code"), [("0", 1), ("1", 1), ("2", 0)])
def test_the_flaky_job_fails_twice_and_then_succeeds(
    retry_count: str, exit_code: int, path: str
) -> None:
    assert run("flaky", path, BARBEQUE_RETRY_COUNT=retry_count).returncode == exit_code


def test_the_storage_keeps_files_inside_its_directory(shelf: tuple[Path, str]) -> None:
    folder, url = shelf
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request("PUT", "/../../outside.txt", body=b"x")
        assert connection.getresponse().status == HTTPStatus.CREATED
    assert (folder / "outside.txt").read_bytes() == b"x"
    assert not (folder.parent / "outside.txt").exists()
