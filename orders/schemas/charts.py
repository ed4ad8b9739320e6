"""Candles on the wire, and which of them are asked for."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, RootModel, model_validator

from orders.candles import INTERVALS
from orders.schemas.misfits import Misfits
from orders.schemas.moments import Moment
from orders.schemas.query import Query, WholeNumber
from orders.schemas.texts import DecimalText, TimeText

# Candles of one answer, unless asked otherwise and at most: one may be combined of thirty rows, so this bounds a request to
# some tens of milliseconds.
DEFAULT_CANDLES = 500
MAX_CANDLES = 1_000


class CandleQuery(Query):
    """Candles that begin at or after `start` and before `end`: the first ones; without `start` the last ones."""

    interval: Literal[INTERVALS] = "1m"
    start: Moment | None = Field(default=None, description="The first moment a candle may begin at.")
    end: Moment | None = Field(default=None, description="The first moment it may not begin at any more.")
    limit: Annotated[WholeNumber, Field(ge=1, le=MAX_CANDLES)] = DEFAULT_CANDLES

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        misfits = Misfits()
        if self.start is not None and self.end is not None and self.end < self.start:
            misfits.add("end", "end_before_start", "end must not be before start")
        misfits.check(self)
        return self


class CandleOut(BaseModel):
    """The trades of one stretch of time, which begins at `time`: UTC, weeks from Monday, months from the first."""

    time: TimeText
    open: DecimalText
    high: DecimalText
    low: DecimalText
    close: DecimalText
    volume: DecimalText
    trades: int


class CandleList(RootModel[list[CandleOut]]):
    """Oldest first. Where nothing traded there is no candle."""
