"""How pages are made from templates: settings that Django reads."""

FORM_RENDERER = "carecollective.web.rendering.form_renderer.PlainWidgets"
# There is one language. Looking each text up took a fifth of the CPU of the list of requests.
USE_I18N = False
# Tags that every template has without loading them.
TEMPLATE_BUILTINS = [
    "carecollective.core.templatetags.addresses",
    "carecollective.core.templatetags.forms",
    "carecollective.core.templatetags.includes",
    "carecollective.core.templatetags.member_times",
]
CONTEXT_PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "carecollective.inbox.unread.context.unread",
    "carecollective.staff.context.staff_waiting",
    "django.contrib.messages.context_processors.messages",
    "carecollective.accounts.pages.mail_folder",
]
