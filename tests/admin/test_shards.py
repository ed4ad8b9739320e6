"""Shards in the admin: how they are, and cancels only after a question."""

import pytest

from orders import gateway, status
from orders.models import Shard
from orders.schemas.problems import ProblemError
from tests.admin.conftest import messages_of, text
from tests.support.market import actor_for, place

LIST = "/admin/orders/shard/"


def switch(client, mode: str, confirmed: bool = True):
    data = {"action": mode, "_selected_action": ["0"], **({"confirmed": "1"} if confirmed else {})}
    return client.post(LIST, data, follow=True)


def test_how_the_shards_are(market, root):
    page = text(root.get(LIST))
    assert "open" in page and "orders" in page
    page = text(root.get(f"{LIST}0/change/"))
    assert "open" in page
    assert "0-0" in page  # where the stream of commands stands


def test_nothing_of_it_is_edited(market, root):
    assert root.get(f"{LIST}add/").status_code == 403
    assert root.post(f"{LIST}0/change/", {"epoch": "7"}).status_code == 403
    assert Shard.objects.get().epoch == 1


def test_cancels_only_and_back(market, root):
    order = place(market.alice, "buy", "1", "99").order_id
    asked = switch(root, "cancel_only", confirmed=False)
    assert "told to come back" in text(asked)
    assert not Shard.objects.get().cancel_only
    assert "shard 0: only cancels are taken." in messages_of(switch(root, "cancel_only"))
    assert Shard.objects.get().cancel_only
    assert status.shards[0].state == status.CANCEL_ONLY
    with pytest.raises(ProblemError, match="Only cancels are taken now") as refused:
        place(market.alice, "buy", "1", "99")
    assert (refused.value.code.name, refused.value.code.retryable) == ("engine_unavailable", True)
    assert gateway.order_cancel(actor=market.alice, order_id=order)
    assert "cancels only" in text(root.get(LIST))
    assert "shard 0: orders are taken." in messages_of(switch(root, "open"))
    assert place(market.alice, "buy", "1", "99").order_id
    assert "Now orders are taken." in text(root.get(f"{LIST}0/history/"))


def test_an_engine_that_is_away_is_told_of(market, root):
    market.engine.stop()
    assert "Nothing was changed" in messages_of(switch(root, "cancel_only"))
    assert not Shard.objects.get().cancel_only


def test_who_may(market, staff):
    assert staff().get(LIST).status_code == 403
    viewer = staff("view_shard")
    assert "Take cancels only" not in text(viewer.get(LIST))
    switch(viewer, "cancel_only")
    assert not Shard.objects.get().cancel_only
    operator = staff("view_shard", "change_shard")
    switch(operator, "cancel_only")
    assert Shard.objects.get().cancel_only


def test_traders_may_not(market):
    with pytest.raises(ProblemError, match="operate"):
        actor = actor_for(market.alice_account, scopes=("trade", "cancel"))
        gateway.shard_set_mode(actor=actor, shard_id=0, cancel_only=True)
