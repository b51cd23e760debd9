from django.urls import path

from carecollective.accounts.preferences import views

urlpatterns = [
    path("mail/<str:preferences_token>", views.choose_by_link, name="mail-preferences"),
    path("account/time-zone", views.note_time_zone, name="account-time-zone"),
]
