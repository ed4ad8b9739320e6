"""The doors of the service. No address but the admin's ends in a slash."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from orders.api import metrics, operations

urlpatterns = [
    path("api/v1/", include("orders.api.urls")),
    path("healthz", operations.healthz, name="healthz"),
    path("readyz", operations.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("", include("orders.pages.urls")),
]

# Below /api/v1 every error is a problem document, also those raised before a view is found.
handler400 = "orders.api.problems.bad_request"
handler403 = "orders.api.problems.permission_denied"
handler404 = "orders.api.problems.page_not_found"
handler500 = "orders.api.problems.server_error"
