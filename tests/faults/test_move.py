"""An instrument with everything that is open moves between engines that are killed on the way, by a command that is killed too.

The source's engine dies while it lets go, or the target's while it is asked whether it is there, or the target's while it
takes over. Which of them, where on a group's way, and whether the command dies as well, is up to the dice. Whoever runs
``manage.py move_instrument`` again ends with a whole instrument on the other shard.

``--moves N``: so many moves, there and back (1 by default), each of the three in turn; ``--seed N`` repeats the choices.
"""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from matching.values import LAST_OPEN_STATUS
from orders.models.trading import event_id
from tests.faults.launcher import POINTS
from tests.faults.ledger import SYMBOLS
from tests.faults.running import fault_file, hurt_topology, seeded
from tests.support.server import ROOT
from tests.support.topology import Topology, wait_for

pytestmark = pytest.mark.slow

SYMBOL = SYMBOLS[0]
PATIENCE_SECONDS = 30.0
# Runs of the command after which it has either ended its work or never will.
MAX_RUNS = 5
# Points behind the commit: the answer of what was done there never comes.
UNANSWERED = ("after_commit", "before_publish", "before_answer")
STOP_LOSS = {"stop_loss": {"stop_price": "90"}}


def test_a_move_that_is_interrupted_ends_on_the_target(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    rng = seeded(request)
    with hurt_topology(tmp_path, shards=2, spares=1) as topology:
        move = Move(topology, rng, fault_file(tmp_path))
        a_bit_of_everything(topology)
        ways = [move.source, move.target_asked, move.target]
        rng.shuffle(ways)
        for number in range(request.config.getoption("--moves")):
            hurt, source, target = ways[number % len(ways)], number % 2, (number + 1) % 2
            set_phase(topology, "halted")
            before = standing(topology)
            hurt(source, target)
            move.finish(target)
            assert standing(topology) == before and len(before) > 10
            whole(topology, target)
            set_phase(topology, "continuous")
            trades_on(topology, target)


class Move:
    """Runs of the command that moves the instrument, and what is done to them and to engines."""

    def __init__(self, topology: Topology, rng: random.Random, file: Path) -> None:
        self.topology, self.rng, self.file = topology, rng, file

    def source(self, source: int, target: int) -> None:
        """The engine that lets go dies, and perhaps the command."""
        self._hurt(source, self.rng.choice(POINTS), target, kills_command=self.rng.random() < 0.5)

    def target_asked(self, source: int, target: int) -> None:
        """The engine that is to take over dies before any lets go, and perhaps the command."""
        self._hurt(target, self.rng.choice(POINTS), target, kills_command=self.rng.random() < 0.5)

    def target(self, source: int, target: int) -> None:
        """The command dies when the one engine has let go; it is run again, and the other engine dies."""
        self._hurt(source, self.rng.choice(UNANSWERED), target, kills_command=True)
        on_its_way = self.topology.rows("SELECT moving_to FROM orders_instrument WHERE symbol = %s", SYMBOL)
        assert on_its_way == [(target,)], on_its_way
        self._hurt(target, self.rng.choice(POINTS), target, kills_command=self.rng.random() < 0.5)

    def _hurt(self, shard: int, point: str, target: int, *, kills_command: bool) -> None:
        epoch = self.topology.epoch(shard)
        self.file.write_text(f"{point} kill {shard}")
        command = self._start(target)
        wait_for(lambda: not self.file.exists(), f"no engine passes {point}", PATIENCE_SECONDS, self.topology.tails)
        if kills_command:
            command.kill()
        seconds = self.topology.wait_open(shard, after_epoch=epoch, seconds=PATIENCE_SECONDS)
        said = command.communicate(timeout=60)[0].strip()[-200:]
        print(
            f"shard {shard} killed at {point}, taken over within {seconds:.2f} s; "
            f"the command {'killed' if kills_command else f'ended with {command.returncode}: {said}'}"
        )

    def _start(self, target: int) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "move_instrument", SYMBOL, "--to", str(target)],
            cwd=ROOT,
            env=self.topology.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, target: int) -> None:
        """Run the command again until the instrument is there: what may have been asked by one that is dead goes on too."""
        for run in range(MAX_RUNS):
            if where(self.topology) == (target, None):
                return
            done = self.topology.manage("move_instrument", SYMBOL, "--to", str(target), check=False)
            print(f"run again, {run + 1}: {done.returncode} {(done.stdout + done.stderr).strip()[-200:]}")
        assert where(self.topology) == (target, None), self.topology.tails()


# The market


def a_bit_of_everything(topology: Topology) -> None:
    """Queues, a partly filled iceberg, stops of every kind, a pair, a bracket that waits and one that is live."""
    for number, (user, side, quantity, more) in enumerate(
        (
            ("alice", "buy", "50", {"price": "99"}),
            ("bob", "buy", "30", {"price": "99"}),
            ("alice", "sell", "10", {"price": "101", "display_quantity": "2"}),
            ("bob", "buy", "3", {"price": "101"}),
            ("bob", "sell", "4", {"price": "101"}),
            ("alice", "sell", "1", {"type": "stop", "stop_price": "98"}),
            ("bob", "sell", "1", {"type": "trailing_stop", "trail_price": "5"}),
            ("alice", "buy", "2", {"type": "trailing_stop", "trail_percent": "1.5"}),
            ("alice", "sell", "2", {"price": "105", "order_class": "oco", **STOP_LOSS}),
            (
                "bob",
                "buy",
                "2",
                {"price": "95", "order_class": "bracket", "take_profit": {"price": "110"}, **STOP_LOSS},
            ),
            (
                "bob",
                "buy",
                "1",
                {"price": "101", "order_class": "bracket", "take_profit": {"price": "111"}, **STOP_LOSS},
            ),
            ("alice", "buy", "1", {"price": "97", "time_in_force": "gtd", "expires_at": "2040-01-01T00:00:00Z"}),
        )
    ):
        place(topology, user, f"first-{number}", side=side, quantity=quantity, **more)


def place(topology: Topology, user: str, cid: str, **terms: Any) -> dict[str, Any]:
    """An order, by a client that tries again as it is told to: a process asks the shard it knew until it has been told."""
    body = {"symbol": SYMBOL, "client_order_id": cid, **terms}
    for _ in range(2):
        status, answer = topology.rest[0].request("POST", "/api/v1/orders", body, key=topology.keys[user])
        if status == 201:
            return answer
        assert (status, answer["retryable"], answer["outcome"]) == (503, True, "not_accepted"), answer
    raise AssertionError(f"not placed: {answer}")


def set_phase(topology: Topology, phase: str) -> None:
    topology.run(
        "from orders import gateway, selectors\nfrom orders.actors import SCOPES, Actor\n"
        f"row = selectors.instrument_get(symbol='{SYMBOL}')\nactor = Actor(0, 'test', 0, '', frozenset(SCOPES))\n"
        f"gateway.instrument_set_phase(actor=actor, instrument_id=row.id, phase='{phase}')"
    )


def standing(topology: Topology) -> list[Any]:
    """Every open order in its order of priority, without what a move changes."""
    return topology.rows(
        "SELECT to_jsonb(o) - ARRAY['shard_id', 'priority', 'sequence', 'updated_at'] FROM orders_order o "
        "JOIN orders_instrument i ON i.id = o.instrument_id WHERE i.symbol = %s AND o.status <= %s ORDER BY o.priority",
        SYMBOL,
        LAST_OPEN_STATUS,
    )


def where(topology: Topology) -> tuple[Any, ...]:
    """The instrument's shard, and the one it is on its way to."""
    return topology.rows("SELECT shard_id, moving_to FROM orders_instrument WHERE symbol = %s", SYMBOL)[0]


# What must hold then


def whole(topology: Topology, target: int) -> None:
    """All that is open is on the target; numbers have no gap on either shard; the service's own verification is content."""
    shards = topology.rows(
        "SELECT DISTINCT o.shard_id FROM orders_order o JOIN orders_instrument i ON i.id = o.instrument_id "
        "WHERE i.symbol = %s AND o.status <= %s",
        SYMBOL,
        LAST_OPEN_STATUS,
    )
    assert shards == [(target,)]
    for shard in topology.engines:
        count, last = topology.rows(
            "SELECT (SELECT count(*) FROM orders_event WHERE id > %s AND id < %s), last_sequence FROM orders_shard "
            "WHERE id = %s",
            event_id(shard, 0),
            event_id(shard + 1, 0),
            shard,
        )[0]
        assert count == last, f"{count} events of shard {shard}, numbered up to {last}"
    assert "good" in topology.manage("verify_books").stdout


def trades_on(topology: Topology, target: int) -> None:
    """A sale meets the oldest buyer at 99, on the shard it is on now; every door shows that order and the same book."""
    first, key = _order(topology, "first-0"), topology.keys["alice"]
    for web in topology.web():
        wait_for(lambda web=web: web.answers("/readyz"), f"{web.name} is not ready", PATIENCE_SECONDS, topology.tails)
    sold = place(topology, "bob", f"sold-on-{target}-{first['filled_quantity']}", side="sell", quantity="1", price="99")
    assert sold["status"] == "filled", sold
    trades = topology.rows("SELECT maker_order_id, id >> 48 FROM orders_trade ORDER BY at DESC, id DESC LIMIT 1")
    assert trades == [(int(first["id"]), target)]
    levels = topology.rows(
        "SELECT sum(o.remaining)::bigint FROM orders_order o JOIN orders_instrument i ON i.id = o.instrument_id "
        "WHERE i.symbol = %s AND o.status < 2 AND o.side = 0 AND o.price = 9900",
        SYMBOL,
    )
    best = ["99.00", f"{levels[0][0] / 1000:.3f}", 2]
    for web in topology.web():
        wait_for(
            lambda web=web: web.request("GET", f"/api/v1/instruments/{SYMBOL}/book")[1]["bids"][0] == best,
            f"{web.name} shows another book than {best}",
            PATIENCE_SECONDS,
            topology.tails,
        )
        status, order = web.request("GET", f"/api/v1/orders/{first['id']}", key=key)
        assert (status, order["status"]) == (200, "partially_filled")
    with connect(f"ws://127.0.0.1:{topology.sockets[0].port}/ws/v1", open_timeout=5) as socket:
        socket.send(json.dumps({"op": "subscribe", "id": 1, "channel": "book", "symbols": [SYMBOL]}))
        message: dict[str, Any] = {}
        while message.get("channel") != "book":
            message = json.loads(socket.recv(timeout=PATIENCE_SECONDS))
    assert message["bids"][0] == best


def _order(topology: Topology, cid: str) -> dict[str, Any]:
    """As REST tells of alice's."""
    ((order_id,),) = topology.rows("SELECT id FROM orders_order WHERE client_order_id = %s", cid)
    return topology.rest[0].request("GET", f"/api/v1/orders/{order_id}", key=topology.keys["alice"])[1]
