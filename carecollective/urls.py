"""Every address of the site. No trailing slashes; the admin keeps Django's own."""

from django.urls import include, path
from django.views.generic import RedirectView

from carecollective.web import views
from carecollective.web.admin_site import site
from carecollective.web.openapi import DocsView, SchemaView

# Django tries one after the other: what is asked for most comes first.
urlpatterns = [
    path("", include("carecollective.inbox.urls")),
    path("", include("carecollective.help_requests.urls")),
    path("favicon.ico", views.favicon),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", site.urls),
    path("api/health", views.health_check, name="api-health"),
    path("api/health/live", views.liveness_check, name="api-health-live"),
    path("api/schema", SchemaView.as_view(), name="schema"),
    path("api/docs", DocsView.as_view(), name="api-docs"),
    path("", include("rollout.urls")),
    path("", include("carecollective.accounts.urls")),
    path("", include("carecollective.safety.urls")),
    path("", include("carecollective.privacy.urls")),
    path("", include("carecollective.moderation.urls")),
    path("", include("carecollective.contact.urls")),
]

handler400 = "carecollective.web.views.bad_request"
handler403 = "carecollective.web.views.forbidden"
handler404 = "carecollective.web.views.not_found"
handler500 = "carecollective.web.views.failed"
