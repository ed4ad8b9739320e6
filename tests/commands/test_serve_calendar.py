"""A running server keeps schedules by itself: what is written into the calendar's row holds within seconds."""

import json
import sqlite3
import time
from pathlib import Path

from tests.support.server import Server

WAIT_SECONDS = 20


def test_the_server_follows_a_calendar_that_changed(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.manage("seed_demo")
    server.start()
    try:
        assert server.request("GET", "/api/v1/instruments/ACME-USD")[1]["state"] == "continuous"
        weekly = {day: [{"at": "00:00", "phase": "pre_open"}] for day in ("monday", "tuesday", "wednesday")}
        with sqlite3.connect(server.database, timeout=10) as database:
            database.execute(
                "UPDATE orders_calendar SET weekly = ?, special_days = '{}', holidays = '[]', version = version + 1",
                [json.dumps(weekly)],
            )
            database.execute("UPDATE orders_instrument SET calendar_id = 1 WHERE symbol = 'ACME-USD'")
        deadline = time.monotonic() + WAIT_SECONDS
        states: set[str] = set()
        while time.monotonic() < deadline and states != {"pre_open"}:
            answers = [server.request("GET", f"/api/v1/instruments/{name}")[1] for name in ("ACME-USD", "WIDG-USD")]
            states = {answer["state"] for answer in answers}
            time.sleep(0.1)
        assert states == {"pre_open"}, server.tail()
        # To come: Monday, Tuesday, Wednesday, and of the week after what is within eight days.
        assert {entry["state"] for answer in answers for entry in answer["schedule"]} == {"pre_open"}
        assert "WIDG-USD: the schedule is set to the calendar" in server.tail()
    finally:
        server.stop()
    assert "schedules were not kept" not in server.tail()
    assert "every schedule is up to date" in server.manage("run_calendar", "--once").stdout
    assert "good" in server.manage("verify_books").stdout
