"""What the server sends in a test is one of the messages that the models tell of, field by field.

``tests/conftest.py`` has every message that is encoded while a test runs read here; tests with a server of its own read what
comes over the wire.
"""

from functools import reduce
from operator import or_
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json

from orders.schemas.replies import SERVER_MESSAGES

# Channel and type of a message; or its op, and nothing.
Kind = tuple[str, str]


def kinds_of(model: type[BaseModel]) -> list[Kind]:
    """The messages that a model describes."""
    fields = model.model_fields
    if "op" in fields:
        return [(op, "") for op in get_args(fields["op"].annotation)]
    channels, types = get_args(fields["channel"].annotation), get_args(fields["type"].annotation)
    return [(channel, kind) for channel in channels for kind in types]


def _readers() -> dict[Kind, TypeAdapter[Any]]:
    models: dict[Kind, list[Any]] = {}
    for model in SERVER_MESSAGES:
        for kind in kinds_of(model):
            models.setdefault(kind, []).append(model)
    return {kind: TypeAdapter(reduce(or_, alternatives)) for kind, alternatives in models.items()}


READERS = _readers()


def kind_of(message: dict[str, Any]) -> Kind:
    return message.get("channel") or message.get("op", ""), message.get("type", "")


def read(frame: str | bytes) -> BaseModel:
    """A message of the server by its model. Raises where none takes it, or one takes less than all of it."""
    value = from_json(frame)
    reader = READERS.get(kind_of(value))
    assert reader is not None, f"no model tells of {value}"
    message: BaseModel = reader.validate_json(frame)
    # The bodies of REST ignore what they do not know: here it is missed.
    assert message.model_dump(mode="json", exclude_unset=True) == value, (
        f"{type(message).__name__} misses some of {value}"
    )
    return message


def told(frame: str | bytes) -> dict[str, Any]:
    """The same, as JSON."""
    read(frame)
    value: dict[str, Any] = from_json(frame)
    return value
