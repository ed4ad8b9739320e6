"""What the relay carries, as bytes: commits, and what engines say of themselves.

``[VERSION, [commit, …], [news, …]]`` in msgpack, every tuple an array in the order of its fields, every integer exact: one
that does not fit 64 bits is an extension with its bytes. The version is a sum over the shapes themselves, so that another
release's message with another shape is told apart without anybody having had to think of it.
"""

from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints
from zlib import crc32

import msgpack

from orders.feed.publisher import CommitMessage
from orders.watching import News

BIG_INTEGER = 1


class RelayError(ValueError):
    """The bytes are no message of this version."""


class Relayed(NamedTuple):
    """What one message brings, in the order in which it happened."""

    commits: list[CommitMessage]
    news: list[News]


def encode_commit(message: CommitMessage) -> bytes:
    """A part of a message, to be joined with others by ``join``."""
    return _packer_of(message)


def encode_news(news: News) -> bytes:
    """The same of what an engine says."""
    return _packer_of(news)


def join(commits: Iterable[bytes], news: Iterable[bytes]) -> bytes:
    """One message of encoded parts."""
    packer = msgpack.Packer()
    parts = [packer.pack_array_header(3), packer.pack(VERSION)]
    for encoded in (list(commits), list(news)):
        parts += [packer.pack_array_header(len(encoded)), *encoded]
    return b"".join(parts)


def decode(data: bytes) -> Relayed:
    """What ``join`` made. Raises ``RelayError``, also for another version's."""
    try:
        version, commits, news = msgpack.unpackb(data, use_list=False, ext_hook=_integer_of)
        if version != VERSION:
            raise RelayError(f"it is of version {version}, this is {VERSION}")
        return Relayed([_read_commit(row) for row in commits], [_read_news(row) for row in news])
    except RelayError:
        raise
    except Exception as error:
        raise RelayError(f"it cannot be read: {error!r}") from None


# Integers


def _packer_of(value: tuple[Any, ...]) -> bytes:
    packed: bytes = msgpack.packb(value, default=_bytes_of)
    return packed


def _bytes_of(value: Any) -> msgpack.ExtType:
    """msgpack asks here about whatever it has no form for."""
    if not isinstance(value, int):
        raise TypeError(f"the relay carries no {type(value).__name__}")
    return msgpack.ExtType(BIG_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def _integer_of(code: int, data: bytes) -> int:
    if code != BIG_INTEGER:
        raise RelayError(f"an extension of kind {code}")
    return int.from_bytes(data, "big", signed=True)


# Shapes

Read = Callable[[Any], Any]
_PLAIN = (int, str)


def _reader(shape: Any) -> Read:
    """A function that makes a value of ``shape`` out of what msgpack gives. Raises whatever where it does not fit."""
    arguments = get_args(shape)
    if shape in _PLAIN:
        return _plain(shape)
    if get_origin(shape) is tuple and arguments[-1] is Ellipsis:
        item = _reader(arguments[0])
        return lambda value: tuple([item(part) for part in value])
    if isinstance(shape, UnionType):
        (other,) = (argument for argument in arguments if argument is not NoneType)
        read = _reader(other)
        return lambda value: None if value is None else read(value)
    return _record(shape, arguments or tuple(get_type_hints(shape).values()))


def _plain(kind: type) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return value

    return read


def _record(shape: Any, fields: tuple[Any, ...]) -> Read:
    make: Read = tuple if get_origin(shape) is tuple else shape._make
    if all(field in _PLAIN for field in fields) and make is not tuple:
        # Numbers and texts of our own version: a busy market has tens of thousands of them a second. Looks at their count.
        return make
    readers = [_reader(field) for field in fields]

    def read(value: Any) -> Any:
        return make([part(item) for part, item in zip(readers, value, strict=True)])

    return read


def _described(shape: Any) -> str:
    """A shape as text, whatever it is made of."""
    arguments = get_args(shape)
    if arguments:
        return f"{get_origin(shape)}[{', '.join(map(_described, arguments))}]"
    if isinstance(shape, type) and issubclass(shape, tuple):
        fields = get_type_hints(shape).items()
        return f"{shape.__name__}({', '.join(f'{name}: {_described(hint)}' for name, hint in fields)})"
    return str(shape)


VERSION = crc32(f"{_described(CommitMessage)} {_described(News)}".encode())
_read_commit = _reader(CommitMessage)
_read_news = _reader(News)
