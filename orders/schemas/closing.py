"""Close codes of the WebSocket: the one registry of them, as ``orders.codes`` is of problems.

Those of RFC 6455 below 4000, ours above. What is said of each is for the client: what happened, and what to do.
"""

GOING_AWAY = 1001
PROTOCOL_ERROR = 1002
NOT_UTF8 = 1007
MESSAGE_TOO_BIG = 1009
RESTART = 1012
BAD_MESSAGE = 4000
NOT_AUTHENTICATED = 4001
FORBIDDEN = 4003
TIMEOUT = 4008
SLOW_CONSUMER = 4009
TOO_MANY_SUBSCRIPTIONS = 4010
RATE_LIMITED = 4029
KEY_REVOKED = 4030

CLOSE_CODES: dict[int, str] = {
    GOING_AWAY: "The server leaves; announced by server_shutdown. Connect again.",
    PROTOCOL_ERROR: "Frames broke the rules of WebSockets.",
    NOT_UTF8: "Text was not UTF-8.",
    MESSAGE_TOO_BIG: "A message had too many bytes.",
    RESTART: "The service starts anew (its engine has died), or an instrument has moved to another shard; announced by "
    "server_shutdown. Connect again.",
    BAD_MESSAGE: "Too many messages in a row that could not be understood or carried out.",
    NOT_AUTHENTICATED: "The key is not valid, or too many private requests without one.",
    FORBIDDEN: "Too many requests you may not make.",
    TIMEOUT: "Nothing was heard of you for too long: answer heartbeats, with any message.",
    SLOW_CONSUMER: "You read too slowly for what must not be dropped. Connect again and resume.",
    TOO_MANY_SUBSCRIPTIONS: "More subscriptions than a connection may have.",
    RATE_LIMITED: "Too many messages.",
    KEY_REVOKED: "The key was revoked or has expired, or its user may no longer act for the account.",
}
