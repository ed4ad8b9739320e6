"""The scenarios collected from the tests of public engines: each comes out as it says, or is listed here with the rule of ours.

The file is not part of the project (its facts are in ``scenarios/*.txt``, in our own words). It is looked for beside the
checkout, or where ``SCENARIOS_FILE`` says. ``docs/scenarios.md`` shows the list; ``python -m
tests.matching.test_shared_scenarios`` writes it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.matching.shared import Differs, UnknownFeature, run

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(os.environ.get("SCENARIOS_FILE") or ROOT.parent / "shared" / "data" / "scenarios.jsonl")
RULES = ROOT / "docs" / "orders.md"
DOCUMENT = ROOT / "docs" / "scenarios.md"

NO_SUCH_TYPE = "not an order type of semantics.md"
# Sentences of docs/orders.md.
MARKET = "what cannot trade is canceled (`no_liquidity`, `price_collar`)"
LAST_PRICE = "They trigger on the **last trade price** of the instrument, at or through `stop_price`"
NO_TRADE_YET = "Without any trade yet they wait."
AT_ONCE = "One already through at entry fires at once, in the same command."
TOTAL = "A total at or below what is filled and canceled ends the order (`canceled`, `amended_to_filled`)."
CANCEL_NEWEST = "fills ahead in the queue happen, then the incoming order stops at its first own order"
PRESSURE = "if the surplus is on the buy side at all of them the highest, if on the sell side at all the lowest"
FUNDS = "`insufficient_funds` where the account is funded"

DIFFERENT = {
    "AON with a quantity reduced to what is available trades": NO_SUCH_TYPE,
    "mass cancel by inclusive price range": NO_SUCH_TYPE,
    "market buy by quote amount rounds down to the lot": NO_SUCH_TYPE,
    "stop buy and stop sell trigger on the last trade price": NO_SUCH_TYPE,
    "regular sell fills two AON bids then part of the next level": NO_SUCH_TYPE,
    "AON sell matches AON and regular bids over two levels exactly": NO_SUCH_TYPE,
    "market-to-limit: unfilled half rests as a limit at the fill price": NO_SUCH_TYPE,
    "market order in an empty book rests and later trades at the limit of the incoming order": MARKET,
    "two market orders do not trade without a reference price": MARKET,
    "resting AON too big for the taker is skipped, later AON at same price fills": NO_SUCH_TYPE,
    "incoming AON that cannot fill rests and locks the book": NO_SUCH_TYPE,
    "resting AON completes when a second contra order arrives": NO_SUCH_TYPE,
    "FOK-budget buy one unit short of the cost is killed": NO_SUCH_TYPE,
    "FOK-budget buy with the exact budget fills": NO_SUCH_TYPE,
    "FOK-budget sell needs at least the expected proceeds": NO_SUCH_TYPE,
    "modify that would self-cross is rejected and leaves the original (cancel-taker)": CANCEL_NEWEST,
    "pegged buy is clamped one tick below the best ask instead of trading": NO_SUCH_TYPE,
    "AON sell waits crossed in the book, completes when an AON bid supplies the missing 20": NO_SUCH_TYPE,
    "stop sell above the bid executes at once; stop buy triggers when the best ask reaches it": LAST_PRICE,
    "stop in an empty market fires immediately and is cancelled": NO_TRADE_YET,
    "trailing stop follows the bid up in steps and never back": NO_SUCH_TYPE,
    "modify to a quantity below the filled quantity is rejected": TOTAL,
    "stop-limit already triggered and marketable fills at the ask": LAST_PRICE,
    "triggered stop-limit not marketable rests at its limit": LAST_PRICE,
    "stop order in the market is rejected": LAST_PRICE,
    "market order without any market is rejected": MARKET,
    "stop-market at or below the last price is invalid for a buy": AT_ONCE,
    "own resting order is skipped, not cancelled": NO_SUCH_TYPE,
    "market buy with locked funds stops and cancels when the funds no longer cover it": FUNDS,
    "auction: sell pressure, reference 100 and 5% band: highest candidate": PRESSURE,
}


def load() -> dict[str, dict[str, Any]]:
    """The scenarios by name, none where the file is absent."""
    if not FILE.exists():
        return {}
    found = [json.loads(line) for line in FILE.read_text().splitlines() if line.strip()]
    assert len({scenario["name"] for scenario in found}) == len(found)
    return {scenario["name"]: scenario for scenario in found}


SCENARIOS = load()
absent = pytest.mark.skipif(not SCENARIOS, reason=f"{FILE} is not there (SCENARIOS_FILE names it)")


@absent
@pytest.mark.parametrize("name", SCENARIOS or ["all"])
def test_scenario(name: str) -> None:
    if name not in DIFFERENT:
        return run(SCENARIOS[name])
    with pytest.raises(UnknownFeature if DIFFERENT[name] in (NO_SUCH_TYPE, FUNDS) else Differs):
        run(SCENARIOS[name])


@absent
def test_every_listed_scenario_exists() -> None:
    assert DIFFERENT.keys() <= SCENARIOS.keys()


def test_every_rule_is_one_of_ours() -> None:
    """What is quoted stands in docs/orders.md, wherever its lines break."""
    text = " ".join(RULES.read_text().split())
    assert [rule for rule in set(DIFFERENT.values()) - {NO_SUCH_TYPE} if rule not in text] == []


def document() -> str:
    """``docs/scenarios.md``."""
    different = {name: rule for name, rule in DIFFERENT.items() if rule != NO_SUCH_TYPE}
    unknown = [name for name, rule in DIFFERENT.items() if rule == NO_SUCH_TYPE]
    lines = [
        "# Scenarios of other engines",
        "",
        "111 matching scenarios were collected from the tests of public engines. Most come out here as they do there; their",
        "facts are in `tests/matching/scenarios/`, in our own words. These are the others.",
        "",
        "## Different here",
        "",
        "| scenario | because ([orders.md](orders.md)) |",
        "|---|---|",
        *(f"| {name} | {rule} |" for name, rule in different.items()),
        "",
        "## Not here",
        "",
        "All-or-none, pegged and market-to-limit orders, budgets and amounts instead of quantities, cancels by price, trailing",
        "stop-limits and a self-trade mode that skips are no order types or modes of this engine. (Where a scenario only uses",
        "them to show something else, that is in our tables.)",
        "",
        *(f"* {name}" for name in unknown),
        "",
    ]
    return "\n".join(lines)


def test_the_document_is_in_step() -> None:
    assert DOCUMENT.read_text() == document(), "write it anew: python -m tests.matching.test_shared_scenarios"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
