from django.urls import path

from carecollective.privacy import views

urlpatterns = [
    path("account/export", views.request_export, name="account-export"),
    path("account/export/<uuid:export_id>", views.download_export, name="account-export-download"),
    path("account/erase", views.erase_account, name="account-erase"),
    path("account/erased", views.say_goodbye, name="account-erased"),
]
