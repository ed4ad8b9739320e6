"""The one registry of error codes: what a problem answer says, with which HTTP status, and whether to try again."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One error: name on the wire, HTTP status, a title that never changes, whether the same request may be sent again."""

    name: str
    status: int
    title: str
    retryable: bool = False


_ALL = (
    Code("invalid_request", 400, "The request is not valid"),
    Code("not_authenticated", 401, "Credentials are needed"),
    Code("permission_denied", 403, "You may not do this"),
    Code("not_found", 404, "There is nothing here"),
    Code("unknown_symbol", 404, "There is no such instrument"),
    Code("unknown_account", 404, "There is no such account"),
    Code("order_not_found", 404, "There is no such order"),
    Code("method_not_allowed", 405, "This method is not allowed here"),
    Code("not_acceptable", 406, "Answers are JSON"),
    Code("market_halted", 409, "The market is halted"),
    Code("market_closed", 409, "The market is closed"),
    Code("market_not_continuous", 409, "Only orders that can rest are taken now"),
    Code("account_halted", 409, "The account is halted"),
    Code("account_reducing_only", 409, "The account may only reduce its positions"),
    Code("duplicate_client_order_id", 409, "The client order id belongs to another order"),
    Code("too_late_to_cancel", 409, "It is too late to cancel"),
    Code("too_late_to_amend", 409, "It is too late to amend"),
    Code("not_amendable", 409, "This order cannot be amended so"),
    Code("resume_too_old", 410, "Too much has happened since; read the events over REST"),
    Code("history_too_long", 410, "Too much has happened since the nearest saved book"),
    Code("version_conflict", 412, "The order has changed meanwhile"),
    Code("request_too_large", 413, "The request is too large"),
    Code("unsupported_media_type", 415, "Requests are JSON"),
    Code("price_not_on_tick", 422, "The price is not a multiple of the tick"),
    Code("quantity_not_on_step", 422, "The quantity is not a multiple of the step"),
    Code("quantity_below_minimum", 422, "The quantity is below the minimum"),
    Code("display_quantity_too_small", 422, "The displayed quantity is too small a part of the whole"),
    Code("price_collar", 422, "The price is beyond the collar"),
    Code("risk_max_quantity", 422, "The quantity is above the maximum"),
    Code("risk_max_notional", 422, "The value is above the maximum"),
    Code("risk_max_open_orders", 422, "The account has too many open orders"),
    Code("too_many_trailing_stops", 422, "Too many trailing stops wait already"),
    Code("risk_max_position", 422, "The position would become too large"),
    Code("insufficient_funds", 422, "The account has not enough funds"),
    Code("linked_order_refused", 422, "An order that belongs to it was refused"),
    Code("post_only_would_cross", 422, "A post-only order would trade at once"),
    Code("too_many_subscriptions", 429, "Too many subscriptions on one connection"),
    Code("rate_limited", 429, "Too many requests", retryable=True),
    Code("internal_error", 500, "Something went wrong on our side"),
    Code("engine_unavailable", 503, "The engine takes no commands now", retryable=True),
    Code("command_expired", 503, "The command waited too long and was not carried out", retryable=True),
    Code("engine_timeout", 504, "The engine has not answered; the outcome is unknown", retryable=True),
)

CODES: dict[str, Code] = {code.name: code for code in _ALL}

# Seconds a client should wait before it tries again when the engine is busy or away.
RETRY_AFTER_SECONDS = 1
