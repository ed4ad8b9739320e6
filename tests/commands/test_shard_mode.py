"""`shard_mode`: the switch outlasts the command's own engine."""

from pathlib import Path

from tests.support.server import Server


def test_cancels_only_from_the_command_line(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.manage("seed_demo")
    assert "shard 0: cancel_only" in server.manage("shard_mode", "0", "cancel_only").stdout
    unknown = server.manage("shard_mode", "7", "open", check=False)
    assert unknown.returncode == 1 and "There is no shard 7." in unknown.stderr
    server.start()
    try:
        assert server.request("GET", "/readyz")[1]["shards"] == [{"shard": 0, "state": "cancel_only", "detail": None}]
        assert server.request("GET", "/api/v1/status")[1]["shards"][0]["state"] == "cancel_only"
        beside = server.manage("shard_mode", "0", "open", check=False)
        assert beside.returncode == 1 and "Another server owns this database" in beside.stderr
    finally:
        server.stop()
    server.manage("shard_mode", "0", "open")
    server.start()
    assert server.request("GET", "/readyz")[1]["shards"][0]["state"] == "open"
    server.stop()
