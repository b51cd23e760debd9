from django.urls import path

from carecollective.contact import views

urlpatterns = [path("contact", views.contact, name="contact")]
