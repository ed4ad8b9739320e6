"""Addresses of the pages. They are at the root, so nothing here may end in a catch-all."""

from django.urls import path

from orders.pages import views

urlpatterns = [
    path("", views.home, name="home"),
    path("market/<str:symbol>", views.market, name="market"),
    path("login", views.SignIn.as_view(), name="login"),
    path("logout", views.SignOut.as_view(), name="logout"),
]
