"""POST orders/batch: in order, each on its own."""

from tests.api.conftest import Api, count_orders, order


def test_results_stand_where_their_orders_stood(api: Api):
    api.place("sell", "3", "100", who="bob")
    batch = [
        order("buy", "2", "100", client_order_id="b1"),
        order("buy", "2", "100", client_order_id="b2"),
        order("buy", "1", "100.005"),
        {**order(), "price": 100},
        order(symbol="NOPE"),
        "order",
        order("buy", "2.0", "100.00", client_order_id="b1"),
        order("buy", "9", "100", client_order_id="b1"),
    ]
    answer = api.post("orders/batch", {"orders": batch})
    assert answer.status == 200
    results = answer.body["results"]
    assert [set(result) for result in results] == [{"order"}] * 2 + [{"problem"}] * 4 + [{"order"}, {"problem"}]
    first, second = results[0]["order"], results[1]["order"]
    assert (first["status"], first["filled_quantity"]) == ("filled", "2.000")
    assert (second["status"], second["filled_quantity"], len(second["fills"])) == ("partially_filled", "1.000", 1)
    assert [result["problem"]["code"] for result in results if "problem" in result] == [
        *("price_not_on_tick", "invalid_request", "unknown_symbol", "invalid_request", "duplicate_client_order_id")
    ]
    assert results[3]["problem"]["errors"][0]["field"] == "orders.3.price"
    assert (results[6]["order"]["id"], results[6]["order"]["filled_quantity"]) == (first["id"], "2.000")
    assert len(results[6]["order"]["fills"]) == 1
    assert count_orders() == 4  # bob's, two of ours, and the one that was refused


def test_a_whole_batch_can_be_sent_again(api: Api):
    batch = {"orders": [order("buy", "1", f"{price}", client_order_id=f"n{price}") for price in range(50, 60)]}
    first, second = (api.post("orders/batch", batch).body["results"] for _ in range(2))
    assert first == second
    assert count_orders() == 10


def test_five_hundred(api: Api):
    answer = api.post("orders/batch", {"orders": [order("buy", "1", "90")] * 500})
    assert len({result["order"]["id"] for result in answer.body["results"]}) == 500
    assert api.get("instruments/ACME-USD/book").body["bids"] == [["90.00", "500.000", 500]]


def test_a_batch_without_a_single_good_order(api: Api):
    answer = api.post("orders/batch", {"orders": [{}, order(symbol="NOPE")]})
    assert answer.status == 200
    assert [result["problem"]["code"] for result in answer.body["results"]] == ["invalid_request", "unknown_symbol"]
