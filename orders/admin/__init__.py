"""The admin: operators set the market up and look into it. Every write goes through the gateway, nothing else is written.

market, phases instruments · calendars sessions · accounts, funds accounts and keys · orders, canceling ·
trades trades and positions · events · snapshots · shards;
lists, filters, forms, display, operating are what they share.
"""

from django.contrib import admin

from orders.admin import accounts, calendars, events, market, orders, shards, snapshots, trades

__all__ = ["accounts", "calendars", "events", "market", "orders", "shards", "snapshots", "trades"]

admin.site.site_header = "Order management"
admin.site.site_title = "Order management"
admin.site.index_title = "Operations"
admin.site.enable_nav_sidebar = False  # the lists need the width
