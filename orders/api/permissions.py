"""What a request needs. Every action says it of itself (``schema.documented``); what is not said is denied."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission

from orders.actors import CANCEL, OPERATE, READ, TRADE


@dataclass(frozen=True, slots=True)
class Need:
    """Any one of ``scopes`` (none: no credentials); with ``account`` the caller must act for an account."""

    scopes: tuple[str, ...]
    account: bool = True


ANYONE = Need((), account=False)
# Instruments, books and trades: for anyone unless OMS_PUBLIC_MARKET_DATA is off.
MARKET_DATA = Need((READ,), account=False)
TO_LOOK = Need((READ,), account=False)
TO_READ = Need((READ,))
TO_TRADE = Need((TRADE,))
TO_CANCEL = Need((CANCEL, TRADE))
# Whoever may place an order or only look may ask what would become of one.
TO_TRY = Need((READ, TRADE))
TO_OPERATE = Need((OPERATE,), account=False)
# One's own as with TO_CANCEL, another account's as with TO_OPERATE: the action asks for what it turns out to be.
TO_CANCEL_MATCHING = Need((CANCEL, TRADE, OPERATE), account=False)


def refuse_unless(actor: Any, need: Need) -> None:
    """Raises ``PermissionDenied``, saying what is missing."""
    if actor.scopes.isdisjoint(need.scopes):
        raise PermissionDenied(f"This needs the scope {' or '.join(need.scopes)}.")
    if need.account and not actor.account_id:
        raise PermissionDenied("You are not a member of any account.")


def action_of(view: Any, method: str) -> Any:
    """What a view does for an HTTP method: a view's own ``get``, or the action that a viewset's route maps it to."""
    name = "get" if method == "HEAD" else method.lower()
    return getattr(view, (getattr(view, "action_map", None) or {}).get(name, name), None)


class DenyByDefault(BasePermission):
    """Grants what the action grants, and nothing else."""

    def has_permission(self, request: Any, view: Any) -> bool:
        action = action_of(view, request.method)
        if action is None or request.method.lower() not in view.http_method_names:
            raise MethodNotAllowed(request.method)
        need = getattr(action, "need", None)
        if need is None:
            return False
        if need is ANYONE or (need is MARKET_DATA and settings.OMS_PUBLIC_MARKET_DATA):
            return True
        actor = request.auth
        if actor is None:
            if not request.user.is_authenticated:
                raise NotAuthenticated("Send an API key (Authorization: Bearer <key>) or sign in.")
            raise PermissionDenied("You are not a member of any account.")
        refuse_unless(actor, need)
        return True
