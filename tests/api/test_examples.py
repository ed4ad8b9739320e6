"""What ``examples/`` and the README send is taken."""

import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Api

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("with_a_market", [False, True])
def test_every_order(api: Api, with_a_market):
    if with_a_market:
        api.trade("250")
        for side, price in (("buy", "249"), ("sell", "251")):
            api.place(side, "50", price, who="bob")

    def send(method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        answer = api.request(method, path, body)
        return answer.status, answer.body

    said: list[str] = []
    runpy.run_path(str(ROOT / "examples" / "every_order.py"))["run"](send, said.append)
    assert len(said) == 11
    for line in said[:-1]:
        expected, found = re.search(r"expected (\w+), is (\w+)", line).groups()
        assert expected == found, line
    assert said[-1] == "canceled 12 orders again"
    assert api.get("orders?status=open").body["results"] == []


def test_the_requests_of_the_readme(api: Api):
    api.place("sell", "5", "100.10", who="bob")
    api.place("sell", "5", "100.20", who="bob")
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^curl .+?(?=\n\n|\n```|\ncurl )", text, re.MULTILINE | re.DOTALL)
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)
        (url,) = [word for word in words if word.startswith("http")]
        body = words[words.index("-d") + 1] if "-d" in words else None
        method = words[words.index("-X") + 1] if "-X" in words else "GET" if body is None else "POST"
        who = "bob" if "$BOB" in command else "alice"
        path = url.partition("/api/v1/")[2]
        answer = api.request(method, path, raw=(body or "").encode(), who=who)
        assert answer.status in (200, 201), (command, answer.body)
