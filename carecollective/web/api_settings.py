"""Settings of the API: Django REST framework, its tokens (knox) and the OpenAPI document (drf-spectacular)."""

from datetime import timedelta

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "carecollective.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["carecollective.web.json_bodies.AnswerRenderer"],
    "DEFAULT_PARSER_CLASSES": ["carecollective.web.json_bodies.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "carecollective.web.api.answer_exception",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "URL_FORMAT_OVERRIDE": None,
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=30),
    "TOKEN_LIMIT_PER_USER": 20,
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Care Collective API",
    "DESCRIPTION": "Help requests and conversations, both messaging versions behind one interface."
    " No address ends in a slash: one that does is answered `not_found`.",
    "VERSION": "1.0.0",
    "CONTACT": {"name": "The staff of the site"},
    "SERVERS": [{"url": "/", "description": "The site that serves this document."}],
    "TAGS": [
        {"name": "accounts", "description": "Signing in and out, and one's own tokens."},
        {"name": "help requests", "description": "What members ask of each other."},
        {"name": "conversations", "description": "Messages between who asked and who helps, of both versions."},
        {"name": "rollout", "description": "Which messaging version is used by whom, and how it does."},
        {"name": "operation", "description": "For monitors and load balancers."},
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "carecollective.help_requests.serializers.add_enums",
        "carecollective.web.openapi.complete_schema",
    ],
    "ENUM_NAME_OVERRIDES": {
        "MessagingVersion": "rollout.versions.MessagingVersion",
        "RolloutHealth": "rollout.dashboard.schema.Health",
        "RolloutBadge": "rollout.dashboard.schema.Badge",
        "RolloutSeverity": "rollout.models.alerts.Severity",
        "RolloutOccasion": "rollout.models.alerts.Occasion",
        "RolloutGuardPresence": "rollout.dashboard.schema.GuardPresence",
        "RolloutEntryKind": "rollout.dashboard.schema.EntryKind",
        "RolloutReason": "rollout.targeting.cohort.Reason",
        "RolloutGateState": "rollout.gates.results.CheckState",
        "WayOnAction": "carecollective.inbox.serializers.WAYS_ON",
    },
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None, "tryItOutEnabled": False},
}
