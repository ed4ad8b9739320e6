"""The bots: ordinary clients that place orders of every type, and do not leave ever more of them behind."""

import json
import random
from collections import Counter
from typing import Any

import pytest
from django.test import Client

from matching.values import TYPE_NAMES
from orders import keys
from orders.engine.verification import verify
from orders.management.commands import simulate
from orders.models import Order
from tests.support.market import make_account, make_instrument, running_engine

pytestmark = pytest.mark.django_db(transaction=True)


class InProcess:
    """The REST door without a network in between."""

    def __init__(self, key: str) -> None:
        self._client = Client(headers={"Authorization": f"Bearer {key}"})
        self.refused: Counter[str] = Counter()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        data = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        response = self._client.generic(method, f"/api/v1/{path}", **data)
        answer = json.loads(response.content)
        if response.status_code >= 400:
            self.refused[answer["code"]] += 1
        return response.status_code, answer


def test_the_bots_place_everything_and_clean_up() -> None:
    keys.forget_keys()
    account = make_account("bots")
    _, key = keys.create_key(user=account.members.get(), account=account, scopes=["read", "trade"])
    rest = InProcess(key)
    with running_engine():
        make_instrument("ACME-USD")
        market = simulate.Market(rest, "ACME-USD", "100", random.Random(7))
        market.open()
        for _ in range(600):
            market.act()
        assert set(Order.objects.values_list("type", flat=True)) >= {
            TYPE_NAMES.index(name) for name in ("limit", "market", "stop", "trailing_stop")
        }
        assert Order.objects.filter(display_quantity__isnull=False).exists()
        assert Order.objects.filter(role__gt=0).values("role").distinct().count() == 3
        conditional = 3 * (simulate.MAX_CONDITIONAL + 1)
        assert Order.objects.filter(status__lte=2).count() <= 2 * (simulate.QUOTES_A_SIDE + 1) + conditional + 20
    # A cancel may come too late; nothing the bots send is ever nonsense.
    assert set(rest.refused) <= {"too_late_to_cancel"}
    assert verify(0).differences == []
