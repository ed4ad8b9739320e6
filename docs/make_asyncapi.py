"""Writes docs/asyncapi.json, the AsyncAPI document that ``GET /api/v1/asyncapi`` serves, for who reads it without a server.

`make docs` runs it; a test holds the committed file against ``page()``.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from orders.api.asyncapi import asyncapi_document  # noqa: E402

PATH = ROOT / "docs" / "asyncapi.json"


def page() -> str:
    """The whole document."""
    return json.dumps(asyncapi_document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(page())
