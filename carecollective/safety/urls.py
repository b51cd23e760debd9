from django.urls import path

from carecollective.safety import views

urlpatterns = [
    path("account/blocks/<uuid:block_id>", views.end_block, name="account-block"),
]
