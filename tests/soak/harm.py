"""What a bad network, a slow reader and a nervous proxy do to one connection's messages, at the throw of seeded dice."""

import random
from collections import deque
from dataclasses import dataclass, fields

# Of a thousand messages, on a rough line: lost, told twice, told late, told again much later.
LOST, TWICE, LATE, AGAIN = 3, 3, 3, 2
# A message that is late comes after up to so many others; one told again is one of so many before.
LATE_BY = 12
REMEMBERED = 60


@dataclass(slots=True)
class Harm:
    """How much was done, over all lines."""

    messages: int = 0
    lost: int = 0
    twice: int = 0
    late: int = 0
    again: int = 0
    cuts: int = 0
    slow: int = 0
    commits_lost: int = 0
    engine_restarts: int = 0
    hub_restarts: int = 0

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, field.name)} {field.name.replace('_', ' ')}" for field in fields(self))


class Line:
    """Carries the texts of one connection. Messages about the connection itself are left alone: they are answers, and a
    connection without its answers is not lossy but dead. Data is harmed while the line is ``rough``."""

    def __init__(self, rng: random.Random, harm: Harm, *, rough: bool = True) -> None:
        self.rough = rough
        self._rng = rng
        self._harm = harm
        self._late: list[tuple[int, str]] = []
        self._before: deque[str] = deque(maxlen=REMEMBERED)

    def carry(self, text: str) -> list[str]:
        """What arrives when this is sent."""
        if not text.startswith('{"channel"'):
            return [text]
        self._harm.messages += 1
        arrives = self._throw(text) if self.rough else [text]
        self._before.append(text)
        return [*arrives, *self._come_late()]

    def calm(self) -> list[str]:
        """No more harm; what is late arrives now."""
        self.rough = False
        late, self._late = self._late, []
        return [text for _, text in late]

    def _throw(self, text: str) -> list[str]:
        rng, harm = self._rng, self._harm
        roll = rng.randrange(1_000)
        if roll < LOST:
            harm.lost += 1
            return []
        if roll < LOST + TWICE:
            harm.twice += 1
            return [text, text]
        if roll < LOST + TWICE + LATE:
            harm.late += 1
            self._late.append((rng.randint(1, LATE_BY) + 1, text))
            return []
        if roll < LOST + TWICE + LATE + AGAIN and self._before:
            harm.again += 1
            return [text, rng.choice(self._before)]
        return [text]

    def _come_late(self) -> list[str]:
        if not self._late:
            return []
        arrives = [text for wait, text in self._late if wait <= 1]
        self._late = [(wait - 1, text) for wait, text in self._late if wait > 1]
        return arrives
