"""Addresses that exist only while the portal runs on the data centre in a box."""

from django.urls import path

from portal.demo import views

urlpatterns = [
    path("spare/", views.spare, name="demo-spare"),
    path("faults/", views.faults, name="demo-faults"),
]
