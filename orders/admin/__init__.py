"""The admin: operators set the market up and look into it. Every write goes through the gateway, nothing else is written.

market instruments · accounts accounts and keys · orders · trades trades and positions · events · snapshots;
lists, filters, forms, display, operating are what they share.
"""

from django.contrib import admin

from orders.admin import accounts, events, market, orders, snapshots, trades

__all__ = ["accounts", "events", "market", "orders", "snapshots", "trades"]

admin.site.site_header = "Order management"
admin.site.site_title = "Order management"
admin.site.index_title = "Operations"
admin.site.enable_nav_sidebar = False  # the lists need the width
