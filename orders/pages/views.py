"""The market page and signing in and out.

The document holds what does not change (the instrument's rules, who is signed in, the CSRF token); everything that moves
comes over the WebSocket and REST, as it does for every other client.
"""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView, redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from matching.values import PHASE_NAMES
from orders import keys, selectors
from orders.models import Instrument
from orders.schemas.decimals import from_units
from orders.schemas.problems import ProblemError


class SignIn(LoginView):
    """Django's sign-in. ``next`` is followed only to an address of this site."""

    template_name = "login.html"
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """POST only: a link or an image must not be able to sign anybody out."""


@never_cache
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """To the first instrument; where there is none, how to make one."""
    if not _may_watch(request):
        return redirect_to_login(request.get_full_path())
    instruments = selectors.instrument_list()
    if instruments:
        return redirect("market", instruments[0].symbol)
    return render(request, "empty.html")


@never_cache
@require_safe
@ensure_csrf_cookie
def market(request: HttpRequest, symbol: str) -> HttpResponse:
    """One instrument, live. 404 where there is no such instrument."""
    if not _may_watch(request):
        return redirect_to_login(request.get_full_path())
    try:
        instrument = selectors.instrument_get(symbol=symbol)
    except ProblemError:
        return render(request, "404.html", {"symbol": symbol}, status=404)
    user = request.user
    context = {
        "instrument": _shown(instrument),
        "instruments": selectors.instrument_list(),
        "account": keys.primary_account(user) if user.is_authenticated else None,
    }
    return render(request, "market.html", context)


def _may_watch(request: HttpRequest) -> bool:
    return settings.OMS_PUBLIC_MARKET_DATA or request.user.is_authenticated


def _shown(instrument: Instrument) -> dict[str, object]:
    """What the document says of an instrument; tick and step as decimal strings."""
    return {
        "symbol": instrument.symbol,
        "base": instrument.base,
        "quote": instrument.quote,
        "state": PHASE_NAMES[instrument.phase],
        "price_decimals": instrument.price_decimals,
        "quantity_decimals": instrument.quantity_decimals,
        "price_tick": from_units(instrument.price_tick, instrument.price_decimals),
        "quantity_step": from_units(instrument.quantity_step, instrument.quantity_decimals),
    }
