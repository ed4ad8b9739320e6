"""Who sends a command or asks a question: made by the doors from a session or a key, trusted by everything below."""

from dataclasses import dataclass

READ = "read"
TRADE = "trade"
CANCEL = "cancel"
OPERATE = "operate"
SCOPES = (READ, TRADE, CANCEL, OPERATE)


@dataclass(frozen=True, slots=True)
class Actor:
    """A user acting for one account (or for none, as an operator)."""

    user_id: int
    username: str
    account_id: int
    account_name: str
    scopes: frozenset[str]
    key_id: int | None = None
