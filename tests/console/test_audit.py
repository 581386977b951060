"""The audit trail as a page and as files."""

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

from barbeque_console.app import create_app
from barbeque_py.identity import EVERYBODY
from barbeque_py.store import audit
from tests.console.inside import Inside
from tests.console.rigs import open_place


def test_the_audit_trail_is_narrowed_paged_and_handed_out(tmp_path: Any) -> None:
    with open_place(tmp_path) as place:

        def fill(tx: Any) -> None:
            for number in range(120):
                audit.record(
                    tx,
                    replace(EVERYBODY, name="=ann" if number % 2 else "bob"),
                    "app.change" if number % 3 else "queue.pause",
                    f"app:{'media' if number % 5 else 'other'}",
                    before={"n": number, "same": 1},
                    after={"n": number + 1, "same": 1, "made": [number]},
                )

        place.store.write(fill)
        browser = Inside(create_app(place.parts))
        first = browser.get("/audit")
        assert first.text.count("<tr>") == 51
        assert "same" not in first.text.partition("<tbody>")[2]
        assert "<del>119</del> → <ins>120</ins>" in first.text
        older = re.search(r'href="(\?before=\d+)" rel="next"', first.text)
        assert older
        second = browser.get(f"/audit{older[1]}")
        newer = re.search(r'href="(\?after=\d+)" rel="prev"', second.text)
        assert newer
        assert "<del>119</del>" in browser.get(f"/audit{newer[1]}").text
        some = browser.get("/audit?actor=bob&action=queue.pause&app=media")
        assert 0 < some.text.count("<tr>") < 51
        assert "=ann" not in some.text.partition("<tbody>")[2]
        assert "No such change" in browser.get("/audit?since=2999-01-01").text
        assert "No such change" in browser.get("/audit?until=2000-01-01").text
        assert browser.get("/audit?since=nonsense&until=").status_code == 200
        table = list(csv.DictReader(io.StringIO(browser.get("/audit.csv?actor=%3Dann").text)))
        assert len(table) == 60
        assert table[0]["actor"] == "'=ann", "a spreadsheet takes it for a formula"
        rows = [json.loads(line) for line in browser.get("/audit.json").text.splitlines()]
        assert len(rows) == 120
        assert rows[0]["after"] == {"n": 120, "same": 1, "made": [119]}
