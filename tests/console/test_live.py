"""Pages that keep themselves up to date: by events, through a cut of the line, as one chose."""

import asyncio
import socket
from collections.abc import Iterator

import httpx
import pytest
from fastapi import Request
from playwright.sync_api import expect
from starlette.responses import StreamingResponse

from barbeque_console.app import create_app
from barbeque_console.events import EventPages
from barbeque_console.pages import Pages
from tests.asking import open_client
from tests.console.looks import open_browser, open_viewer
from tests.console.rigs import Place, open_place, serve


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with open_place(tmp_path_factory.mktemp("live")) as found:
        yield found


def test_a_page_is_told_of_changes_and_survives_a_cut(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open_browser() as browser:
        with serve(create_app(place.parts), port) as address:
            context = open_viewer(browser, address)
            viewer = context.__enter__()
            viewer.forgiven = (
                "ERR_|Failed to fetch|network error"  # what the browser says of a line that was cut
            )
            viewer.go("/queues")
            cell = viewer.page.locator("tr", has_text="default").locator('[data-label="Waiting"]')
            expect(cell).to_have_text("0")
            place.enqueue()
            expect(cell).to_have_text("1")
        cut = viewer.page.get_by_text("The server does not answer")
        expect(cut).to_be_visible()
        place.enqueue()
        with serve(create_app(place.parts), port):
            expect(cut).to_be_hidden()
            expect(cell).to_have_text("2")
            viewer.page.get_by_label("Display").click()
            viewer.page.get_by_text("Paused", exact=True).click()
            place.enqueue()
            viewer.page.reload()
            expect(cell).to_have_text("3")
            assert viewer.page.locator("html").get_attribute("data-live") == "paused"
            assert viewer.page.locator("[hx-sse\\:connect]").count() == 0
            context.__exit__(None, None, None)


def test_a_stream_goes_on_where_it_was_cut(place: Place) -> None:
    with (
        serve(create_app(place.parts)) as address,
        open_client(address) as client,
    ):
        first = next(events(client))
        assert first == {"retry": "1000", "id": first["id"]}
        place.enqueue()
        again = events(client, {"last-event-id": first["id"]})
        assert next(again)["id"] == first["id"]
        news = next(again)
        assert news["event"] == "changed"
        assert news["id"] != first["id"]
        assert client.get("/events", params={"watch": "nothing"}).status_code == 404


def test_a_stream_that_nobody_feeds_any_more_ends_so_that_the_page_asks_again(
    place: Place,
) -> None:
    async def stream() -> list[str | bytes | memoryview]:
        asked = {"type": "http", "method": "GET", "path": "/events", "headers": []}
        request = Request(asked | {"query_string": b""}, asyncio.Event().wait)  # type: ignore[arg-type]
        answer = await EventPages(place.parts, Pages()).stream(request, "queues")
        assert isinstance(answer, StreamingResponse)
        reading = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(reading)  # until who reads the topic has found nobody there
        return [chunk async for chunk in answer.body_iterator]

    (only,) = asyncio.run(stream())
    assert str(only).startswith("retry: ")


def events(client: httpx.Client, headers: dict[str, str] | None = None) -> Iterator[dict[str, str]]:
    with client.stream("GET", "/events", params={"watch": "queues"}, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
            else:
                yield event
                event = {}
