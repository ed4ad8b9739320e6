"""The service's routes and ``/api/v1/empty``."""

from django.urls import path

from benchmarks.empty import EmptyView
from oms_project.urls import urlpatterns as real

urlpatterns = [path("api/v1/empty", EmptyView.as_view()), *real]
