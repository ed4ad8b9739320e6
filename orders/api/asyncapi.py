"""The AsyncAPI document of the WebSocket: made from the models of its messages, their examples and the registry of close codes.

There is one AsyncAPI channel, the socket. Every message a client may send is an operation that the service receives, with its
possible answers as the reply; every channel of the feed is an operation that it sends. The schemas are draft 7 of JSON
Schema, which is what AsyncAPI takes without more words.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from oms_project import __version__
from orders.actors import READ
from orders.schemas.closing import CLOSE_CODES
from orders.schemas.examples import EXAMPLES
from orders.schemas.replies import ANSWERS, DATA, NOTICES, SERVER_MESSAGES
from orders.schemas.socket import ORDER_ENTRY, ClientMessage

Model = type[BaseModel]

CHANNEL = "socket"
ADDRESS = "/ws/v1"
CLIENT_MESSAGES: tuple[Model, ...] = get_args(ClientMessage)
# Channels of an account: for those who said who they are, as all about orders is.
_PRIVATE_CHANNELS = ("executions", "positions")

_INTRODUCTION = """
Every message, both ways, is one text frame with one JSON object: those about the connection and about orders have `op`,
data has `channel`. Prices and quantities are decimal strings with the instrument's decimals, times RFC 3339 in UTC with
microseconds. A message that cannot be carried out is answered with a problem, the same document as over REST.
"""
_CHANNEL = """
Programs send no `Origin` and say who they are by `auth`; browser pages are signed in by their session cookie and come from this
service's own address. Market data needs neither, unless the service is set up otherwise.

Every request is answered once, with its `id`; results about orders come in the order of their requests, and before the
executions of these orders. A subscription begins with a snapshot; where updates build upon each other, `previous` says upon
which. A client that has sent nothing at all for long is closed: answer heartbeats.

| close code | means |
|---|---|
{codes}
"""


class Draft7(GenerateJsonSchema):
    """Pydantic's schemas are of draft 2020-12; of what is used here only tuples were said otherwise in draft 7."""

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        found = super().tuple_schema(schema)
        return {**_without(found, "prefixItems"), "items": found["prefixItems"], "additionalItems": False}

    def field_title_should_be_set(self, schema: Any) -> bool:
        """The names say it."""
        return False


@cache
def asyncapi_document() -> dict[str, Any]:
    """The document as JSON values: it depends on nothing but the code."""
    models = (*CLIENT_MESSAGES, *SERVER_MESSAGES)
    codes = "\n".join(f"| {code} | {text} |" for code, text in CLOSE_CODES.items())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Order management service: WebSocket",
            "version": __version__,
            "description": _INTRODUCTION.strip(),
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"plain": _server("ws", "127.0.0.1:8000"), "secure": _server("wss", "127.0.0.1")},
        "channels": {
            CHANNEL: {
                "address": ADDRESS,
                "description": _CHANNEL.strip().format(codes=codes),
                "messages": {name: _reference("components", "messages", name) for name in _names(models)},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {**_received(), **_sent()},
        "components": {
            "schemas": _schemas(models),
            "messages": {model.__name__: _message(model) for model in models},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


_SECURITY_SCHEMES = {
    "apiKey": {"type": "apiKey", "in": "password", "description": "An API key, sent in the message `auth`."},
    "session": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": "sessionid",
        "description": "A signed-in browser. Ignored where there is no `Origin`.",
    },
}


def _server(protocol: str, host: str) -> dict[str, Any]:
    """Wherever the service runs: the document does not know."""
    return {
        "host": "{host}",
        "protocol": protocol,
        "variables": {"host": {"default": host, "description": "Where the service runs."}},
    }


def _received() -> dict[str, Any]:
    """An operation for each message a client may send."""
    found = {}
    for model in CLIENT_MESSAGES:
        (op,) = _words(model, "op")
        operation = {
            "action": "receive",
            "channel": _reference("channels", CHANNEL),
            "summary": _text(model),
            "messages": _of_channel([model]),
            "reply": {"channel": _reference("channels", CHANNEL), "messages": _of_channel(ANSWERS[op])},
        }
        scopes = ORDER_ENTRY.get(op, ())
        if op == "subscribe" and set(_words(model, "channel")) & set(_PRIVATE_CHANNELS):
            scopes = (READ,)
        if scopes:
            operation["description"] = f"Needs the scope `{'` or `'.join(scopes)}`."
            operation["security"] = _security()
        found[model.__name__[0].lower() + model.__name__[1:]] = operation
    return found


def _sent() -> dict[str, Any]:
    """An operation for each channel of the feed, and one for what the service says of the connection."""
    by_channel: dict[str, list[Model]] = {}
    for model in DATA:
        for channel in _words(model, "channel"):
            by_channel.setdefault(channel, []).append(model)
    by_channel["connection"] = list(NOTICES)
    found = {}
    for channel, models in by_channel.items():
        operation = {
            "action": "send",
            "channel": _reference("channels", CHANNEL),
            "summary": f"What the channel `{channel}` tells."
            if channel != "connection"
            else "Of the connection itself.",
            "messages": _of_channel(models),
        }
        if channel in _PRIVATE_CHANNELS:
            operation["security"] = _security()
        found[f"{channel}Told"] = operation
    return found


def _message(model: Model) -> dict[str, Any]:
    name = model.__name__
    message = {
        "name": name,
        "title": " ".join((*_words(model, "op"), *_words(model, "channel"), *_words(model, "type"))),
        "summary": _text(model),
        "payload": _reference("components", "schemas", name),
        "examples": [{"payload": example} for example in EXAMPLES[name]],
    }
    if "id" in model.model_fields:
        message["correlationId"] = {"location": "$message.payload#/id"}
    return message


def _schemas(models: Iterable[Model]) -> dict[str, Any]:
    """Of the models and of what they are made of."""
    asked = [(model, "validation") for model in models]
    _, found = models_json_schema(asked, ref_template="#/components/schemas/{model}", schema_generator=Draft7)
    # The examples of the bodies they take from REST have no op; a message's own are beside it.
    return {name: _without(schema, "examples") for name, schema in sorted(found["$defs"].items())}


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}


def _words(model: Model, name: str) -> tuple[str, ...]:
    """What a field of fixed words may say; nothing where the model has no such field."""
    field = model.model_fields.get(name)
    return () if field is None else get_args(field.annotation)


def _text(model: Model) -> str:
    """A model's docstring as one line."""
    return " ".join((model.__doc__ or "").split())


def _names(models: Iterable[Model]) -> list[str]:
    return [model.__name__ for model in models]


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}


def _of_channel(models: Iterable[Model]) -> list[dict[str, str]]:
    """Operations name the messages of their channel."""
    return [_reference("channels", CHANNEL, "messages", name) for name in _names(models)]


def _security() -> list[dict[str, str]]:
    return [_reference("components", "securitySchemes", name) for name in _SECURITY_SCHEMES]
