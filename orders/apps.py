"""The application. Nothing starts here: ``ready`` also runs for ``migrate``, ``check`` and every other command."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    verbose_name = "Order management"
    default_auto_field = "django.db.models.BigAutoField"
