"""``/api/v1``: no address ends in a slash, and what is not here is a problem document too."""

from django.urls import path

from orders.api import operations, schema_views
from orders.api.account import AccountViewSet, EventViewSet, FillViewSet, PositionViewSet, SnapshotViewSet
from orders.api.candles import CandleViewSet
from orders.api.market import InstrumentViewSet
from orders.api.missing import MissingView
from orders.api.orders import OrderViewSet

urlpatterns = [
    # In the order of how often they are asked for: Django tries one after the other.
    path("orders", OrderViewSet.as_view({"get": "list", "post": "create", "delete": "cancel_matching"})),
    path("orders/batch", OrderViewSet.as_view({"post": "batch"})),
    path("orders/validate", OrderViewSet.as_view({"post": "validate"})),
    # "str" takes the dots and colons that client order ids may have.
    path("orders/by-client-id/<str:client_order_id>", OrderViewSet.as_view({"get": "by_client_id"})),
    path(
        "orders/<str:order_id>",
        OrderViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
    ),
    path("orders/<str:order_id>/events", OrderViewSet.as_view({"get": "events"})),
    path("time", operations.TimeView.as_view()),
    path("status", operations.StatusView.as_view()),
    path("instruments", InstrumentViewSet.as_view({"get": "list"})),
    path("instruments/<str:symbol>", InstrumentViewSet.as_view({"get": "retrieve"})),
    path("instruments/<str:symbol>/book", InstrumentViewSet.as_view({"get": "book"})),
    path("instruments/<str:symbol>/trades", InstrumentViewSet.as_view({"get": "trades"})),
    path("instruments/<str:symbol>/ticker", InstrumentViewSet.as_view({"get": "ticker"})),
    path("tickers", InstrumentViewSet.as_view({"get": "tickers"})),
    path("instruments/<str:symbol>/candles", CandleViewSet.as_view({"get": "list"})),
    path("cancel-after", OrderViewSet.as_view({"post": "cancel_after"})),
    path("account", AccountViewSet.as_view({"get": "retrieve"})),
    path("account/limits", AccountViewSet.as_view({"get": "limits"})),
    path("positions", PositionViewSet.as_view({"get": "list"})),
    path("fills", FillViewSet.as_view({"get": "list"})),
    path("events", EventViewSet.as_view({"get": "list"})),
    path("snapshots", SnapshotViewSet.as_view({"get": "list"})),
    path("schema", schema_views.SchemaView.as_view(), name="api-schema"),
    path("asyncapi", schema_views.AsyncApiView.as_view(), name="api-asyncapi"),
    path("docs", schema_views.DocsView.as_view(), name="api-docs"),
    path("", MissingView.as_view()),
    path("<path:rest>", MissingView.as_view()),
]
