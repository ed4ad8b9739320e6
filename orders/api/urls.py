"""``/api/v1``: no address ends in a slash, and what is not here is a problem document too."""

from django.urls import path

from orders.api import account, market, operations, orders, schema_views
from orders.api.missing import MissingView

urlpatterns = [
    path("time", operations.TimeView.as_view()),
    path("status", operations.StatusView.as_view()),
    path("instruments", market.InstrumentsView.as_view()),
    path("instruments/<str:symbol>", market.InstrumentView.as_view()),
    path("instruments/<str:symbol>/book", market.BookView.as_view()),
    path("instruments/<str:symbol>/trades", market.TradesView.as_view()),
    path("orders", orders.OrdersView.as_view()),
    path("orders/batch", orders.OrderBatchView.as_view()),
    # "str" takes the dots and colons that client order ids may have.
    path("orders/by-client-id/<str:client_order_id>", orders.OrderByClientIdView.as_view()),
    path("orders/<str:order_id>", orders.OrderView.as_view()),
    path("orders/<str:order_id>/events", orders.OrderEventsView.as_view()),
    path("fills", account.FillsView.as_view()),
    path("events", account.EventsView.as_view()),
    path("snapshots", account.SnapshotsView.as_view()),
    path("schema", schema_views.SchemaView.as_view(), name="api-schema"),
    path("docs", schema_views.DocsView.as_view(), name="api-docs"),
    path("", MissingView.as_view()),
    path("<path:rest>", MissingView.as_view()),
]
