"""Examples of every message of the WebSocket, both ways, by the name of its model, as they go over the wire.

The AsyncAPI document shows them, and docs/websocket.md shows the same: tests hold the page and the models against this list.
"""

import json
from typing import Any

_ORDER = json.loads("""
{"id":"257613953212416000","client_order_id":"a-1","account":"alice","symbol":"ACME-USD","side":"buy","type":"limit",
 "time_in_force":"gtc","post_only":false,"price":"99.98","stop_price":null,"trail_price":null,"trail_percent":null,
 "quantity":"10.000","display_quantity":null,"expires_at":null,"self_trade_prevention":"cancel_newest",
 "order_class":"simple","group_id":null,"role":null,"filled_quantity":"1.000","remaining_quantity":"9.000",
 "canceled_quantity":"0.000","average_price":"99.98","status":"partially_filled","reason":null,"version":1,"sequence":1044,
 "created_at":"2026-11-22T17:30:53.000000Z","updated_at":"2026-11-22T17:30:53.000000Z","legs":[]}
""")
_FILLS = json.loads("""
[{"trade_id":"0-1043","order_id":"257613953212416000","symbol":"ACME-USD","side":"buy","price":"99.98","quantity":"1.000",
  "liquidity":"taker","shard":0,"sequence":1044,"time":"2026-11-22T17:30:53.000000Z"}]
""")
_AMENDED = _ORDER | {
    **{"quantity": "8.000", "remaining_quantity": "7.000", "version": 2, "sequence": 1045},
    "updated_at": "2026-11-22T17:30:54.000000Z",
}
_CANCELED = _AMENDED | {
    **{"remaining_quantity": "0.000", "canceled_quantity": "7.000", "status": "canceled", "reason": "user_request"},
    **{"sequence": 1046, "updated_at": "2026-11-22T17:30:55.000000Z"},
}
_PROBLEM = json.loads("""
{"type":"/api/v1/docs#price_collar","title":"The price is beyond the collar","status":422,
 "detail":"The price is beyond the collar.","code":"price_collar","errors":[],"retryable":false,"outcome":"not_accepted",
 "request_id":"5f0c…","order_id":"257613953212416001"}
""")

# One message after the other in each text.
_TEXTS = {
    # The client's
    "Auth": '{"op":"auth","id":1,"key":"oms_…"}',
    "SubscribeBook": '{"op":"subscribe","id":2,"channel":"book","symbols":["ACME-USD"],"depth":25}',
    "SubscribeTrades": '{"op":"subscribe","id":3,"channel":"trades","symbols":["ACME-USD"]}',
    "SubscribeTicker": '{"op":"subscribe","id":4,"channel":"ticker","symbols":["ACME-USD"]}',
    "SubscribeCandles": '{"op":"subscribe","id":5,"channel":"candles","symbols":["ACME-USD"],"interval":"1m"}',
    "SubscribeInstruments": '{"op":"subscribe","id":6,"channel":"instruments","symbols":["ACME-USD"]}',
    "SubscribeStatus": '{"op":"subscribe","id":7,"channel":"status"}',
    "SubscribeExecutions": '{"op":"subscribe","id":8,"channel":"executions","after":{"0":1042}}',
    "SubscribePositions": '{"op":"subscribe","id":9,"channel":"positions"}',
    "UnsubscribeMarket": '{"op":"unsubscribe","id":10,"channel":"trades","symbols":["ACME-USD"]}',
    "UnsubscribeCandles": '{"op":"unsubscribe","id":11,"channel":"candles","symbols":["ACME-USD"],"interval":"1m"}',
    "UnsubscribePlain": '{"op":"unsubscribe","id":12,"channel":"executions"}',
    "Ping": '{"op":"ping","id":13}',
    "Place": """
{"op":"place","id":20,"symbol":"ACME-USD","side":"buy","quantity":"10","price":"99.98","client_order_id":"a-1"}""",
    "Amend": '{"op":"amend","id":21,"order_id":"257613953212416000","version":1,"quantity":"8"}',
    "Cancel": """
{"op":"cancel","id":22,"order_id":"257613953212416000"}
{"op":"cancel","id":23,"client_order_id":"a-1"}""",
    "CancelAll": '{"op":"cancel_all","id":24,"symbol":"ACME-USD","side":"buy"}',
    "ArmCancelAfter": '{"op":"cancel_after","id":25,"seconds":30}',
    "PlaceMany": """
{"op":"place_batch","id":26,"orders":[{"symbol":"ACME-USD","side":"buy","quantity":"10","price":"99.98","client_order_id":"a-1"},
 {"symbol":"ACME-USD","side":"sell","quantity":"1","price":"500"}]}""",
    # Answers
    "Ack": '{"op":"ack","id":2,"ok":true}',
    "AuthAck": '{"op":"ack","id":1,"ok":true,"account":"alice","scopes":["read","trade"]}',
    "AckRefused": """
{"op":"ack","id":2,"ok":false,"problem":{"type":"/api/v1/docs#unknown_symbol","title":"There is no such instrument",
 "status":404,"detail":"There is no instrument 'NOPE'.","code":"unknown_symbol","errors":[],"retryable":false,
 "outcome":"not_accepted","request_id":"5f0c…"}}""",
    "Pong": '{"op":"pong","id":13,"time":"2026-11-22T17:30:52.000000Z"}',
    "CancelAllResult": '{"op":"result","id":24,"ok":true,"canceled":["257613953212416000"],"count":1}',
    "CancelAfterResult": '{"op":"result","id":25,"ok":true,"seconds":30,"expires_at":"2026-11-22T17:31:23.000000Z"}',
    # The market
    "BookSnapshot": """
{"channel":"book","symbol":"ACME-USD","type":"snapshot","depth":25,"epoch":3,"sequence":1042,"previous":null,
 "bids":[["99.98","10.000",2]],"asks":[],"checksum":2589312360,"time":"2026-11-22T17:30:52.000000Z"}""",
    "BookUpdate": """
{"channel":"book","symbol":"ACME-USD","type":"update","epoch":3,"sequence":1044,"previous":1042,
 "bids":[["99.98","0.000",0]],"asks":[],"checksum":0,"time":"2026-11-22T17:30:53.000000Z"}""",
    "Resync": '{"channel":"book","symbol":"ACME-USD","type":"resync","reason":"gap"}',
    "CandlesResync": '{"channel":"candles","symbol":"ACME-USD","interval":"1m","type":"resync","reason":"slow_reader"}',
    "TradesSnapshot": """
{"channel":"trades","symbol":"ACME-USD","type":"snapshot","epoch":3,"sequence":1040,"previous":null,
 "trades":[{"id":"0-1040","sequence":1040,"price":"99.99","quantity":"2.000","taker_side":"sell",
  "time":"2026-11-22T17:30:50.000000Z"}]}""",
    "TradesUpdate": """
{"channel":"trades","symbol":"ACME-USD","type":"update","epoch":3,"sequence":1047,"previous":1040,
 "trades":[{"id":"0-1045","sequence":1045,"price":"99.98","quantity":"1.000","taker_side":"sell",
   "time":"2026-11-22T17:30:53.000000Z"},
  {"id":"0-1047","sequence":1047,"price":"99.97","quantity":"1.000","taker_side":"sell",
   "time":"2026-11-22T17:30:53.000000Z"}]}""",
    "TradesSkipped": """
{"channel":"trades","symbol":"ACME-USD","type":"skipped","count":812,"previous":1047,"sequence":2871}""",
    "Ticker": """
{"channel":"ticker","symbol":"ACME-USD","type":"update","epoch":3,"sequence":1047,"last":"99.97","bid":"99.96",
 "bid_quantity":"4.000","ask":"99.99","ask_quantity":"12.500","open":"98.74","high":"100.02","low":"98.70","volume":"214.500",
 "vwap":"99.41","change":"1.23","change_percent":"1.25","trades":61,"time":"2026-11-22T17:30:53.000000Z"}""",
    "CandlesSnapshot": """
{"channel":"candles","symbol":"ACME-USD","interval":"1m","type":"snapshot","epoch":3,"sequence":1040,"previous":null,
 "candles":[{"time":"2026-11-22T17:30:00.000000Z","open":"100.00","high":"100.02","low":"99.99","close":"99.99",
  "volume":"14.000","trades":5}]}""",
    "CandlesUpdate": """
{"channel":"candles","symbol":"ACME-USD","interval":"1m","type":"update","epoch":3,"sequence":1047,"previous":1040,
 "candles":[{"time":"2026-11-22T17:30:00.000000Z","open":"100.00","high":"100.02","low":"99.97","close":"99.97",
  "volume":"16.000","trades":7}]}""",
    "InstrumentSession": """
{"channel":"instruments","symbol":"ACME-USD","type":"snapshot","epoch":3,"sequence":1042,"state":"auction",
 "phase_ends_at":"2026-11-22T17:35:00.000000Z","indicative_price":"99.98","indicative_volume":"12.000",
 "indicative_surplus":"-5.000","time":"2026-11-22T17:30:52.000000Z"}
{"channel":"instruments","symbol":"ACME-USD","type":"update","epoch":3,"sequence":1051,"state":"continuous",
 "phase_ends_at":null,"indicative_price":null,"indicative_volume":null,"indicative_surplus":null,
 "time":"2026-11-22T17:35:00.000000Z"}""",
    "Status": """
{"channel":"status","type":"snapshot","shards":[{"shard":0,"state":"open","epoch":3,"sequence":1047,"detail":null}],
 "time":"2026-11-22T17:30:53.000000Z"}""",
    # The account
    "ExecutionsSnapshot": """
{"channel":"executions","type":"snapshot","account":"alice","shard":0,"epoch":3,"sequence":1042,"previous":null}""",
    "ExecutionsUpdate": """
{"channel":"executions","type":"update","epoch":3,"previous":1042,"shard":0,"sequence":1045,"event":"fill_maker",
 "order_id":"257613953212416000","client_order_id":"a-1","symbol":"ACME-USD","side":"buy","price":"99.98",
 "trigger_price":null,"quantity":"1.000","filled_quantity":"1.000","remaining_quantity":"9.000",
 "status":"partially_filled","reason":null,"liquidity":"maker","trade_id":"0-1045","time":"2026-11-22T17:30:53.000000Z"}""",
    "PositionsSnapshot": """
{"channel":"positions","type":"snapshot","account":"alice","shard":0,"epoch":3,"sequence":1042,"positions":[
 {"symbol":"ACME-USD","quantity":"-2.000","bought":"3.000","sold":"5.000","bought_notional":"297.00000",
  "sold_notional":"500.00000","average_price":"100.000000","realized_pnl":"3.00000","mark_price":"99.99",
  "unrealized_pnl":"0.02000"}]}""",
    "PositionsUpdate": """
{"channel":"positions","type":"update","account":"alice","shard":0,"epoch":3,"sequence":1045,"symbol":"ACME-USD",
 "quantity":"-1.000","bought":"4.000","sold":"5.000","bought_notional":"396.98000","sold_notional":"500.00000",
 "average_price":"100.000000","realized_pnl":"3.02000","mark_price":"99.98","unrealized_pnl":"0.02000"}""",
    # The connection
    "Heartbeat": """
{"op":"heartbeat","time":"2026-11-22T17:30:55.000000Z","shards":{"0":{"epoch":3,"sequence":1047}}}""",
    "ServerShutdown": '{"op":"server_shutdown","reason":"The server is stopping."}',
}


def read_all(text: str) -> list[dict[str, Any]]:
    """JSON values that follow each other."""
    found = []
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return found


EXAMPLES: dict[str, list[dict[str, Any]]] = {
    **{name: read_all(text) for name, text in _TEXTS.items()},
    "PlaceResult": [{"op": "result", "id": 20, "ok": True, "order": {**_ORDER, "fills": _FILLS}}],
    "AmendResult": [{"op": "result", "id": 21, "ok": True, "order": {**_AMENDED, "fills": [], "priority_kept": True}}],
    "CancelResult": [{"op": "result", "id": 22, "ok": True, "order": _CANCELED}],
    "PlaceBatchResult": [
        {
            "op": "result",
            "id": 26,
            "ok": True,
            "results": [{"order": {**_ORDER, "fills": _FILLS}}, {"problem": _PROBLEM}],
        }
    ],
    "ResultRefused": [{"op": "result", "id": 20, "ok": False, "problem": _PROBLEM}],
}
