"""Messages of the relay come through as they were, and what is none is refused."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.feed import relay_wire
from orders.feed.publisher import CommitMessage, PositionTold, SessionTold
from orders.feed.relay_wire import RelayError
from orders.watching import News

COMMIT = CommitMessage(0, 3, 70, 68, 1_700_000_000_000_000, (), (), (), (), (), (7,))
NEWS = News(0, 3, 70, "open", "")


def message(*commits: CommitMessage, news: tuple[News, ...] = ()) -> bytes:
    return relay_wire.join(map(relay_wire.encode_commit, commits), map(relay_wire.encode_news, news))


@given(st.lists(st.from_type(CommitMessage), max_size=3), st.lists(st.from_type(News), max_size=2))
def test_everything_comes_through_as_it_was(commits, news):
    relayed = relay_wire.decode(message(*commits, news=tuple(news)))
    assert relayed == (commits, news)
    assert [type(part) for commit in relayed.commits for part in commit.positions] == [
        PositionTold for commit in commits for _ in commit.positions
    ]


@pytest.mark.parametrize(
    "number", [0, -1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40, -(10**40)]
)
def test_integers_are_exact(number):
    commit = COMMIT._replace(positions=(PositionTold(1, 2, 3, number, number, 0, 0, -number, 9),))
    assert relay_wire.decode(message(commit)).commits == [commit]


def test_an_auction_that_crosses_nothing_is_told_as_such():
    commit = COMMIT._replace(sessions=(SessionTold(7, 1, 0, None),))
    assert relay_wire.decode(message(commit)).commits == [commit]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"nonsense",
        msgpack.packb(7),
        msgpack.packb([relay_wire.VERSION]),
        msgpack.packb([relay_wire.VERSION, [[1, 2]], []]),
        msgpack.packb([relay_wire.VERSION, [["x", *COMMIT[1:]]], []]),
        msgpack.packb([relay_wire.VERSION, [[True, *COMMIT[1:]]], []]),
        msgpack.packb([relay_wire.VERSION, [[*COMMIT, 1]], []]),
        msgpack.packb([relay_wire.VERSION, [], [[0, 3, 70, "open"]]]),
        msgpack.packb([relay_wire.VERSION, [], [msgpack.ExtType(5, b"x")]]),
        msgpack.packb([relay_wire.VERSION + 1, [COMMIT], [NEWS]]),
        message(COMMIT)[:-1],
    ],
    ids=repr,
)
def test_what_is_no_message_of_this_version_is_refused(data):
    with pytest.raises(RelayError):
        relay_wire.decode(data)


def test_only_numbers_and_texts_are_carried():
    with pytest.raises(TypeError, match="object"):
        relay_wire.encode_news(NEWS._replace(detail=object()))


def test_the_version_is_of_the_shapes():
    assert "Execution(account_id: <class 'int'>" in relay_wire._described(CommitMessage)
    assert "Uncross(price" in relay_wire._described(CommitMessage)
