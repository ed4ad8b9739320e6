"""GET time, status, healthz, readyz."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection

from orders import status, watching
from tests.api.conftest import Api


def test_the_time(api: Api):
    told = datetime.fromisoformat(api.get("time", who=None).body["time"])
    assert abs(datetime.now(UTC) - told) < timedelta(seconds=5)


def test_the_status_of_the_shard(api: Api):
    placed = api.place()
    body = api.get("status", who=None).body
    assert body["status"] == "open"
    assert body["shards"] == [{"shard": 0, "state": "open", "epoch": 1, "sequence": placed["sequence"], "detail": None}]


def test_alive_and_ready(api: Api):
    assert api.get("/healthz", who=None).body == {"status": "ok"}
    told = [{"shard": 0, "state": "open", "detail": None}]
    assert api.get("/readyz", who=None).body == {"status": "ready", "shards": told}
    for path in ("/healthz", "/readyz"):
        assert api.request("HEAD", path, who=None).status == 200
        answer = api.client.delete(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("state", [status.RECOVERING, status.STALLED, status.STOPPED])
def test_not_ready_while_the_engine_is_not_open(api: Api, monkeypatch, state):
    monkeypatch.setitem(status.shards, 0, status.ShardStatus(0, state, detail="disk full"))
    answer = api.get("/readyz", who=None)
    assert (answer.status, answer.code) == (503, "engine_unavailable")
    assert state in answer.body["detail"] and "disk full" in answer.body["detail"]
    assert answer.headers["Retry-After"] == "1"
    assert api.get("/healthz", who=None).status == 200
    assert api.get("status", who=None).body["status"] == "unavailable"


def test_ready_while_some_shard_takes_commands(api: Api, monkeypatch):
    monkeypatch.setitem(status.shards, 0, status.ShardStatus(0, status.RECOVERING))
    monkeypatch.setitem(status.shards, 1, status.ShardStatus(1, status.STOPPED, detail="No engine runs."))
    detail = api.get("/readyz", who=None).body["detail"]
    assert detail == "Shard 0 is recovering. Shard 1 is stopped. No engine runs."
    for state in (status.OPEN, status.CANCEL_ONLY):
        monkeypatch.setitem(status.shards, 0, status.ShardStatus(0, state))
        told = api.get("/readyz", who=None).body["shards"]
        assert [(shard["state"], shard["detail"]) for shard in told] == [(state, None), ("stopped", "No engine runs.")]
        assert api.get("status", who=None).body["status"] == "unavailable"


def test_beside_engines_elsewhere_nobody_asks_the_database(api: Api, monkeypatch, settings):
    settings.OMS_ENGINE = "remote"
    monkeypatch.setattr(watching, "wait_for_news", lambda seconds: True)
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", None)
        assert api.get("/readyz", who=None).body["status"] == "ready"
        patch.setattr(status, "shards", {})
        assert api.get("/readyz", who=None).body["detail"].startswith("No shard is known")


def test_not_ready_without_an_engine(api: Api, monkeypatch):
    monkeypatch.setattr(status, "shards", {})
    assert "No engine" in api.get("/readyz", who=None).body["detail"]
    body = api.get("status", who=None).body
    assert (body["status"], body["shards"]) == ("unavailable", [])


def test_not_ready_without_a_database(api: Api, monkeypatch):
    def broken() -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", broken)
        answer = api.get("/readyz", who=None)
    assert (answer.status, answer.body["detail"]) == (503, "The database does not answer.")
