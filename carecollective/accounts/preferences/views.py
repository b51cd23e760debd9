"""The pages on which people choose what we write to them about."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from carecollective.accounts.models import MailPace
from carecollective.accounts.pages import MemberRequest, member_page
from carecollective.accounts.preferences import services
from carecollective.mail.topics import Topic
from carecollective.web.pages import public_page, render_page

ONE_CLICK = "List-Unsubscribe"
NEVER = "never"


# The link is the key: nothing hangs on who is signed in, and mail programs send no cookie (RFC 8058).
@csrf_exempt
@public_page
def choose_by_link(request: HttpRequest, preferences_token: str) -> HttpResponse:
    """Choose by a link from one of our mails. Opening it changes nothing; POST stops the mail or stores the choices."""
    preferences, topic = services.read_link(preferences_token)
    address = reverse("mail-preferences", args=[preferences_token])
    if request.method == "POST" and ONE_CLICK in request.POST:
        services.stop_topic(token=preferences_token)
        return redirect(f"{address}?saved=stopped") if "page" in request.POST else HttpResponse(status=200)
    if request.method == "POST":
        pace = request.POST.get("pace", "")
        wanted = {each: request.POST.get(each.value) == "yes" for each in Topic}
        services.choose_by_link(
            token=preferences_token, wanted=wanted | {Topic.MESSAGES: pace != NEVER}, mail_pace=pace
        )
        return redirect(f"{address}?saved=chosen")
    context = {
        "topic": topic,
        "pace": preferences.mail_pace if services.wants_mail(preferences, Topic.MESSAGES) else NEVER,
        "paces": [*MailPace.choices, (NEVER, "Never")],
        "topics": [
            (each, services.wants_mail(preferences, each))
            for each in services.topics_of_link(topic)
            if each != Topic.MESSAGES
        ],
        "is_stopped": not services.wants_mail(preferences, topic),
        "saved": request.GET.get("saved", ""),
    }
    return render_page(request, "accounts/mail_preferences.html", context)


@member_page
def note_time_zone(request: MemberRequest) -> HttpResponse:
    """Take the time zone that the member's browser tells, once."""
    if request.method != "POST":
        return redirect("account")
    services.note_time_zone(actor=request.user, time_zone=request.POST.get("time_zone", ""))
    return HttpResponse(status=204)
