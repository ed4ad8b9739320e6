"""What a request needs. Every view says it for each of its methods; what is not said is denied."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission

from orders.actors import CANCEL, READ, TRADE


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


class DenyByDefault(BasePermission):
    """Grants what ``view.needs`` grants to the method, and nothing else."""

    def has_permission(self, request: Any, view: Any) -> bool:
        method = "GET" if request.method == "HEAD" else request.method
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            raise MethodNotAllowed(method)
        need = getattr(view, "needs", {}).get(method)
        if need is None:
            return False
        if need is ANYONE or (need is MARKET_DATA and settings.OMS_PUBLIC_MARKET_DATA):
            return True
        actor = request.auth
        if actor is None:
            if not request.user.is_authenticated:
                raise NotAuthenticated("Send an API key (Authorization: Bearer <key>) or sign in.")
            raise PermissionDenied("You are not a member of any account.")
        if actor.scopes.isdisjoint(need.scopes):
            raise PermissionDenied(f"This needs the scope {' or '.join(need.scopes)}.")
        if need.account and not actor.account_id:
            raise PermissionDenied("You are not a member of any account.")
        return True
