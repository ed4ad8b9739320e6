"""How a call can end other than with what was asked for: always one of these, never silence."""

from collections.abc import Sequence

from oms_client.models import Problem


class ClientError(Exception):
    """The base of all errors of this package."""


class Refused(ClientError):
    """The service refused. Nothing was done; ``problem`` says why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem


class Unknown(ClientError):
    """The deadline passed and nobody knows whether it was done. The ids name what to look for later."""

    def __init__(self, what: str, *, client_order_ids: Sequence[str] = (), order_ids: Sequence[str] = ()) -> None:
        names = ", ".join((*client_order_ids, *order_ids))
        super().__init__(f"the outcome of {what} is not known" + (f": {names}" if names else ""))
        self.client_order_ids = tuple(client_order_ids)
        self.order_ids = tuple(order_ids)


class NotSent(ClientError):
    """The deadline passed while there was no connection: the service has never seen the request."""


class Stopped(ClientError):
    """The client was closed, or the service will not have its key: nothing goes on by itself."""


class Unreachable(ClientError):
    """A question over REST was not answered in time."""


class ResumeImpossible(ClientError):
    """The service does not know the last execution that was seen: it is not the database it was."""
