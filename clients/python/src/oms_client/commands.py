"""Orders on their way: what to send, and what an answer, or the lack of one, means.

Theory of operation
-------------------
Each command is a small state machine without I/O. The session sends what ``message`` says and tells what came of it:
``answered``, ``lost`` (the connection went with the command unanswered), ``found`` (the order it is about, read over REST),
``expired``. Each answers the next ``Step``:

* ``Done``: the result, or the error, for the caller.
* ``Again``: send it once more. Safe for an order, because its ``client_order_id`` names one order for life: the service
  answers the same order again. Safe for cancels, because an order ends once.
* ``Read``: the order must be looked at. A cancel that comes too late after an unanswered one has probably come twice; an
  amend is sent again only with the ``version`` that it is for, and only where its terms are not there already.

``in_doubt``: an attempt went unanswered or was answered with ``outcome: unknown``, so the service may have carried it out.
A refusal that is retryable does not settle that, an answer to a repeated attempt does.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from oms_client.errors import ClientError, NotSent, Refused, Unknown
from oms_client.models import Canceled, Json, Lease, Malformed, Order, Problem, build

# Bytes of one batch's message: the service takes at most 256 KiB.
MAX_BATCH_BYTES = 200_000
# Orders of one batch's message.
MAX_BATCH_ORDERS = 500

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What the caller gets: exactly one of the two counts."""

    result: object = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Send it again: at once, or ``later`` where the service asked for patience."""

    later: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """Look the order up, by the one id or the other."""

    order_id: str | None
    client_order_id: str | None = None


Step = Done | Again | Read


class Command(ABC):
    """One thing to be done, until it is known to be done, refused, or its deadline passes."""

    op: str

    def __init__(self, body: Body) -> None:
        self.body = body
        self.in_doubt = False
        self._problem: Problem | None = None

    def message(self) -> Body:
        """What to send, without an id."""
        return {"op": self.op, **self.body}

    def answered(self, answer: Json) -> Step:
        """A ``result`` from the service. Raises ``Malformed``."""
        if answer.get("ok") is True:
            return self._succeeded(answer)
        return self._failed(build(Problem, answer.get("problem")))

    def lost(self) -> Step:
        """It was sent, and the connection ended without an answer."""
        self.in_doubt = True
        return Again()

    def found(self, order: Order | None) -> Step:
        """The order that ``Read`` asked for; None where there is no such order."""
        raise AssertionError(f"{self.op} reads no order")

    def expired(self) -> Done:
        """The deadline has passed; an attempt that is unanswered is in doubt already."""
        if self.in_doubt:
            return Done(error=self._unknown())
        if self._problem is not None:
            return Done(error=Refused(self._problem))
        return Done(error=NotSent(f"{self.op} was not sent: there was no connection"))

    def _failed(self, problem: Problem) -> Step:
        self._problem = problem
        if problem.outcome == "unknown":
            self.in_doubt = True
            return Again(later=True)
        if problem.retryable:
            return Again(later=True)
        if self.in_doubt and (problem.status in (401, 403) or problem.status >= 500):
            # That says nothing about the attempt before.
            return Done(error=self._unknown())
        return Done(error=Refused(problem))

    @abstractmethod
    def _succeeded(self, answer: Json) -> Step: ...

    def _unknown(self) -> Unknown:
        return Unknown(self.op)


class Place(Command):
    op = "place"

    def _succeeded(self, answer: Json) -> Step:
        return Done(build(Order, answer.get("order")))

    def _unknown(self) -> Unknown:
        order_id = None if self._problem is None else self._problem.order_id
        names = [self.body["client_order_id"]]
        return Unknown(self.op, client_order_ids=names, order_ids=[order_id] if order_id else [])


class PlaceBatch(Command):
    """Any number of orders, sent in pieces the service takes. Each is settled on its own: as an order, or as an error."""

    op = "place_batch"

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self._orders: list[Body] = body["orders"]
        self._results: list[Order | ClientError | None] = [None] * len(self._orders)
        # Which orders the last message held, and which may have been placed without our knowing.
        self._sent: list[int] = []
        self._doubts: set[int] = set()
        # Why each of the others has not been placed yet.
        self._problems: dict[int, Problem] = {}

    def message(self) -> Body:
        self._sent = []
        size = 0
        for index in self._open():
            # An order has no more than ASCII in it: as many bytes as characters.
            size += len(str(self._orders[index])) + 1
            if self._sent and (size > MAX_BATCH_BYTES or len(self._sent) == MAX_BATCH_ORDERS):
                break
            self._sent.append(index)
        return {"op": self.op, "orders": [self._orders[index] for index in self._sent]}

    def lost(self) -> Step:
        self._doubts.update(self._sent)
        return Again()

    def expired(self) -> Done:
        return self._settle_rest()

    def _open(self) -> list[int]:
        return [index for index, result in enumerate(self._results) if result is None]

    def _succeeded(self, answer: Json) -> Step:
        results = answer.get("results")
        if not isinstance(results, list) or len(results) != len(self._sent):
            raise Malformed("as many results as orders were expected")
        tries_again = [self._settle(index, item) for index, item in zip(self._sent, results, strict=True)]
        return Again(later=any(tries_again)) if self._open() else Done(self._results)

    def _settle(self, index: int, item: object) -> bool:
        """One order's result. Answers whether it must be tried once more."""
        if not isinstance(item, Mapping):
            raise Malformed("an order or a problem was expected")
        if item.get("order") is not None:
            self._results[index] = build(Order, item["order"])
            return False
        problem = build(Problem, item.get("problem"))
        if problem.outcome == "unknown":
            self._doubts.add(index)
        if problem.outcome == "unknown" or problem.retryable:
            self._problems[index] = problem
            return True
        self._results[index] = Refused(problem)
        return False

    def _failed(self, problem: Problem) -> Step:
        self._problems.update(dict.fromkeys(self._sent, problem))
        if problem.outcome == "unknown":
            self._doubts.update(self._sent)
        if problem.outcome == "unknown" or problem.retryable:
            return Again(later=True)
        self._problems.update(dict.fromkeys(self._open(), problem))
        return self._settle_rest()

    def _settle_rest(self) -> Done:
        for index in self._open():
            problem = self._problems.get(index)
            if index in self._doubts:
                self._results[index] = Unknown("place", client_order_ids=[self._orders[index]["client_order_id"]])
            else:
                self._results[index] = Refused(problem) if problem else NotSent("the order was not sent in time")
        return Done(self._results)


class Cancel(Command):
    op = "cancel"

    def _succeeded(self, answer: Json) -> Step:
        return Done(build(Order, answer.get("order")))

    def _failed(self, problem: Problem) -> Step:
        if self.in_doubt and problem.code in ("too_late_to_cancel", "order_not_found"):
            self._problem = problem
            return self._read()
        return super()._failed(problem)

    def found(self, order: Order | None) -> Step:
        """Canceled, by whichever attempt: done. Ended otherwise, or open: as refused as if no answer had been lost."""
        assert self._problem is not None
        if order is None or order.status != "canceled":
            return Done(error=Refused(self._problem))
        return Done(order)

    def _read(self) -> Read:
        return Read(self.body.get("order_id"), self.body.get("client_order_id"))

    def _unknown(self) -> Unknown:
        names = self._read()
        return Unknown(
            self.op,
            client_order_ids=[names.client_order_id] if names.client_order_id else [],
            order_ids=[names.order_id] if names.order_id else [],
        )


class CancelAll(Command):
    op = "cancel_all"

    def _succeeded(self, answer: Json) -> Step:
        canceled = build(Canceled, answer)
        return Done(Canceled(canceled.canceled, canceled.count, self.in_doubt))


class CancelAfter(Command):
    op = "cancel_after"

    def _succeeded(self, answer: Json) -> Step:
        return Done(build(Lease, answer))


class Amend(Command):
    """New terms. ``body`` has the ``order_id``, the terms, and the caller's ``version``, if there is one."""

    op = "amend"

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self._version_is_ours = "version" not in body
        # A refusal that may only mean that an earlier attempt was carried out.
        self._verdict: Problem | None = None
        self._terms = {name: value for name, value in body.items() if name not in ("order_id", "version")}

    def lost(self) -> Step:
        super().lost()
        self._verdict = None
        return self._read()

    def _failed(self, problem: Problem) -> Step:
        step = super()._failed(problem)
        settled = isinstance(step, Done) and isinstance(step.error, Unknown)
        if not self.in_doubt or settled or (problem.retryable and problem.outcome != "unknown"):
            return step
        # Either it may have been done just now, or it is refused because it was done before.
        self._verdict = None if problem.outcome == "unknown" else problem
        return self._read()

    def found(self, order: Order | None) -> Step:
        """Done where the terms are there; else again, for exactly the version that was read, unless the refusal stands."""
        if order is not None and all(_is_there(order, name, value) for name, value in self._terms.items()):
            return Done(order)
        verdict = self._verdict
        if verdict is not None and (verdict.code != "version_conflict" or not self._version_is_ours):
            return Done(error=Refused(verdict))
        if order is not None and self._version_is_ours:
            self.body["version"] = order.version
        return Again()

    def _succeeded(self, answer: Json) -> Step:
        return Done(build(Order, answer.get("order")))

    def _read(self) -> Read:
        return Read(self.body["order_id"])

    def _unknown(self) -> Unknown:
        return Unknown(self.op, order_ids=[self.body["order_id"]])


def _is_there(order: Order, name: str, value: str) -> bool:
    """Whether an order has a term, whatever its decimals."""
    has = getattr(order, name)
    if isinstance(has, datetime):
        return has == datetime.fromisoformat(value)
    try:
        return has is not None and has == Decimal(value)
    except InvalidOperation:
        return False
