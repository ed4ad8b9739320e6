"""The admin as a whole: what is in it, who may write what, and that no page needs what the policy forbids."""

import re

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import RequestFactory

from orders.models import Account, ApiKey, BookSnapshot, Calendar, Event, Instrument, Order, Position, Shard, Trade
from tests.admin.conftest import text

# model -> what even a superuser may do in the admin: add, change, delete
MAY = {
    Instrument: (True, True, False),
    Account: (True, True, True),  # deleted only if never used: see test_accounts
    ApiKey: (True, True, False),
    Calendar: (True, True, True),  # deleted only if nothing follows it: see test_calendars
    Order: (False, False, False),
    Trade: (False, False, False),
    Event: (False, False, False),
    Position: (False, False, False),
    BookSnapshot: (False, False, False),
    Shard: (False, False, False),  # its mode by command, after a question: see test_shards
    User: (True, True, True),
    Group: (True, True, True),
}


def test_only_what_may_be_written_can_be(root):
    request = RequestFactory().get("/admin/")
    request.user = User.objects.get(username="root")
    assert {
        model: tuple(site.get_model_perms(request).values())[:3] for model, site in admin.site._registry.items()
    } == MAY


def test_no_inline_editing_anywhere():
    for model, site in admin.site._registry.items():
        assert not site.list_editable, model
        assert not site.inlines, model


PAGES = ("", "instrument/", "instrument/add/", "account/", "account/add/", "apikey/", "apikey/add/", "order/", "trade/")
PAGES = (*PAGES, "event/", "position/", "booksnapshot/", "calendar/", "calendar/add/", "order/cancel/")
# Inline scripts and styles, and anything from elsewhere.
FORBIDDEN = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son[a-z]+=|javascript:|(?:src|href|action)=.https?:"
)


def test_pages_keep_to_the_policy(history, root):
    for page in PAGES:
        response = root.get(f"/admin/orders/{page}")
        assert "Order management" in text(response)
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert not FORBIDDEN.findall(text(response)), page


def test_details_keep_to_the_policy(history, root):
    for model in (Instrument, Account, Order, Trade, Event, Position, BookSnapshot):
        body = text(root.get(f"/admin/orders/{model._meta.model_name}/{model.objects.first().pk}/change/"))
        assert not FORBIDDEN.findall(body), model


def test_strangers_are_sent_to_sign_in(history, client):
    for page in ("", "order/", f"order/{history.resting}/change/", f"instrument/{history.acme.id}/phase/halt/"):
        response = client.get(f"/admin/orders/{page}")
        assert response.status_code == 302
        assert response.url.startswith("/admin/login/")


def test_names_are_escaped(history, root):
    Account.objects.filter(name="alice").update(name="<script>x</script>")
    for page in ("order/", "account/", f"order/{history.resting}/change/", "trade/", "event/"):
        assert "<script>x" not in text(root.get(f"/admin/orders/{page}"))
