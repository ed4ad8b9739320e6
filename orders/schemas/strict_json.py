"""JSON as this service takes it: UTF-8, no duplicate keys, no NaN, no surrogate halves, not nested without end.

The standard decoder takes all of these silently, or fails in ways that would be a 500: each becomes a ``ValueError`` that
says what is wrong.
"""

import json
from typing import Any


class JSONError(ValueError):
    """The text is not JSON as this service takes it; the message says why and where."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JSONError(f"duplicate key {key[:64]!r}")
            seen.add(key)
    return found


def _no_constant(name: str) -> Any:
    raise JSONError(f"{name} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode


def loads(body: bytes | str) -> Any:
    """The value of a JSON text. Raises ``JSONError``."""
    try:
        text = body if isinstance(body, str) else body.decode("utf-8")
        value = _decode(text)
        if "\\u" in text:
            # An escape can smuggle in half a surrogate pair, which no UTF-8 text can hold.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except JSONError:
        raise
    except UnicodeDecodeError as error:
        raise JSONError(f"not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise JSONError("a lone surrogate is not text") from None
    except json.JSONDecodeError as error:
        raise JSONError(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise JSONError("nested too deeply") from None
    except ValueError as error:
        raise JSONError(f"not JSON: {str(error)[:100]}") from None
