"""What the control room shows, in each state, to those who may see it."""

import re
from html import unescape

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from rollout.dashboard.status import read_status
from rollout.models import Change, Proposal
from rollout.stages import DISABLED
from tests.factories import HelpRequestFactory
from tests.rollout.dashboard.conftest import LIVE, PAGE, text_of

pytestmark = pytest.mark.django_db

FORBIDDEN = r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son\w+="


def health_of(response):
    """Return the one word over the page."""
    html = response.content.decode()
    found = re.search(r'data-region="health-word">.*?</svg>\s*([\w ]+?)\s*</span>', html, re.DOTALL)
    return found and found[1]


@pytest.fixture
def page(signed_in, ben):
    client = signed_in(ben)
    return lambda address=PAGE, **query: client.get(address, query)


def test_off_is_what_the_page_says_before_the_rollout_begins(page):
    assert health_of(page()) == "Off"
    assert "V2 is off for everybody." in text_of(page())
    assert "there is nothing to roll back" in text_of(page())


def test_a_stage_with_too_little_shown_says_what_is_missing(page, stage, happen):
    stage("internal")
    happen(23)
    shown = page()
    assert health_of(shown) == "Not enough yet"
    assert "No problem seen. 36 more starts, 59 more messages and 3 more days needed." in text_of(shown)
    assert "It takes 36 more starts without a failure to prove it" in text_of(shown)
    assert re.search(r'value="23"\s', shown.content.decode())
    assert "Before 10% : what this stage has to show" in text_of(shown).replace("10%:", "10% :")


def test_what_is_in_the_way_is_a_list_with_one_thing_in_each_line(page, stage):
    stage("internal")
    decision = re.findall(r'<section[^>]*id="decision".*?</section>', page().content.decode(), re.DOTALL)[0]
    status = read_status()
    blocking = [one.title for one in status.gates if one.state != "pass"]
    blocking += [one.title for one in status.checklist if one.state != "pass"]
    lines = [re.sub(r"<[^>]+>", "", unescape(line)).strip() for line in re.findall(r"<li>[^<]*", decision)]
    assert len(blocking) > 6
    assert [line for line in lines if line in blocking] == blocking
    assert ";" not in "".join(lines)
    assert f">{len(blocking) - 3} checklist items</a>:" in decision


def checklist_of(response):
    """Return whether the checklist lies open, and its heading."""
    ((attributes, heading),) = re.findall(
        r'<details id="checklist-details"([^>]*)>\s*<summary[^>]*>\s*<h2[^>]*>([^<]+)</h2>', response.content.decode()
    )
    return "open" in attributes, " ".join(heading.split())


def test_the_checklist_is_open_only_when_nothing_else_is_missing(page, stage, happen, began, alert):
    is_open, heading = checklist_of(page())
    done = sum(item.state == "pass" for item in read_status().checklist)
    assert (is_open, heading) == (True, f"Before the next step: {done} of 10 done")
    stage("internal")
    assert not checklist_of(page())[0]  # first the stage has to show something
    alert("9 of 20 operations failed.")
    assert not checklist_of(page())[0]
    stage("disabled")
    assert not checklist_of(page())[0]  # first its root cause
    stage("enabled")
    assert checklist_of(page())[1] == f"Readiness checklist: {done} of 10 done"
    assert not checklist_of(page())[0]


def test_a_gate_that_fails_makes_the_page_say_so_by_icon_and_word(page, stage, happen):
    stage("internal")
    happen(60, failed=30)
    shown = page()
    assert health_of(shown) == "Failing"
    assert re.search(r"#icon-fail\"></use></svg>\s*Fail\b", shown.content.decode())


def test_a_rollback_leaves_a_form_to_file(page, stage):
    stage("percentage:33.3")
    stage("disabled")
    shown = page()
    assert health_of(shown) == "Rolled back"
    assert "1 root cause to file Open The rollback from 33.3%" in text_of(shown)


def test_a_dead_guard_is_said_and_its_consequence(page, stage, lease):
    stage("percentage:10")
    lease("2 minutes")
    shown = page()
    assert health_of(shown) == "Unguarded"
    assert "So V2 is off by itself" in text_of(shown)
    assert "Now, but held off: no guard" in text_of(shown)


def test_the_environments_override_is_said(page, stage, monkeypatch):
    stage("percentage:10")
    assert "MESSAGING_V2_ROLLOUT" not in text_of(page())
    monkeypatch.setattr(settings, "MESSAGING_V2_ROLLOUT", DISABLED)
    shown = page()
    assert health_of(shown) == "Held off"
    assert "MESSAGING_V2_ROLLOUT=disabled in the environment holds" in text_of(shown)
    assert "held off by the environment" in text_of(shown)
    assert "takes effect once that variable is unset" in text_of(shown)


def test_a_stage_between_the_five_has_a_step_of_its_own(page, stage):
    stage("percentage:33.3")
    shown = page()
    assert shown.content.decode().count('aria-current="step"') == 1
    titles = re.findall(r'<span class="title">([^<]+)</span>', shown.content.decode())
    assert titles == ["Disabled", "Internal", "10%", "33.3%", "50%", "Enabled"]


def test_an_open_alert_stands_on_the_page_with_what_the_guard_did(page, stage, alert):
    stage("internal")
    alert("9 of 20 operations failed.", disabled_v2=True)
    answer = page()
    shown = text_of(answer)
    assert re.search(r"Open since <time [^>]*data-local>[^<]* UTC</time>", answer.content.decode())
    assert re.search(r"last seen at [^.]* [\d:]{8} UTC ?\.", shown)
    assert "9 of 20 operations failed. The guard turned V2 off for it." in shown
    assert "An alert is open: 9 of 20 operations failed." in shown


def test_every_chart_has_its_table(page, stage, happen):
    stage("internal")
    happen(10, failed=1)
    happen(5, method="sendMessage", duration_ms=250.0)
    html = page().content.decode()
    assert html.count('class="chart"') == 3
    assert html.count('<details id="table-') == 3
    assert re.search(r"<th scope=\"row\"><time [^>]+>[^<]+</time></th>\s*<td>90%</td>\s*<td>10</td>", html)
    assert "250 ms" in html


def test_nothing_counted_draws_nothing_and_says_so(page):
    html = page().content.decode()
    assert 'class="chart"' not in html
    assert html.count("there is nothing to draw") == 3


def test_members_own_refusals_are_told_from_failures_of_the_system(page, happen):
    happen(2, failed=2)
    happen(1, event="error", log_level="warn", error_code="conversation_exists")
    shown = text_of(page())
    assert "Refusals are the members' own and no failures of the system" in shown
    assert re.search(r"internal_ server_ error System failure 2 66\.67%", shown)
    assert re.search(r"conversation_ exists Member's own 1 33\.33%", shown)


def test_the_timeline_tells_overrides_and_outside_changes_apart(page, admin, signed_in, stage):
    asked = {"action": "override", "stage": "percentage:50", "reason": "<script>alert(1)</script>"}
    assert signed_in(admin).post(PAGE, asked).status_code == 302
    stage("enabled")
    shown = page()
    assert "Outside the application" in text_of(shown)
    assert "Override" in text_of(shown)
    assert "Root" in text_of(shown)
    assert "&lt;script&gt;" in shown.content.decode()
    assert "<script>alert" not in shown.content.decode()


def test_the_page_says_why_a_member_is_in_v1(page, member, stage):
    ada = member(name="Ada")
    stage("internal")
    shown = text_of(page(email=str(ada.email).upper()))
    assert "Ada : new conversations in V1." in shown
    assert "open to staff and internal testers only" in shown
    assert "No member has this e-mail address." in text_of(page(email="nobody@example.org"))
    assert page(email="\0").status_code == 200


def test_the_preview_counts_who_would_enter_and_parts_the_pairs(page, member, stage, happen):
    ada, grace = member(name="Ada"), member(name="Grace")
    stage("internal")
    shown = text_of(page(preview="enabled"))
    assert "2 of 3 members who can start a conversation would come in" in shown
    assert "Ada" in shown
    assert "Grace" in shown
    happen(1, user_id=ada.pk, help_request_id=HelpRequestFactory.create(user=grace).pk)
    assert "Both in V2: 100% (1)" in text_of(page(preview="enabled"))
    assert "Both in V1: 100% (1)" in text_of(page(preview="internal"))


def test_the_preview_falls_back_on_pairs_of_open_requests(page, member, stage):
    HelpRequestFactory.create(user=member())
    member()
    stage("internal")
    shown = text_of(page(preview="internal"))
    assert "Of the 2 pairs that open requests allow" in shown
    assert "One in V2, one in V1: 50% (1)" in shown
    assert "Both in V1: 50% (1)" in shown


@pytest.mark.parametrize("asked", [{"preview": "another", "percentage": "abc"}, {"preview": "another"}])
def test_a_preview_of_no_percentage_is_refused_in_words(page, asked):
    shown = page(**asked)
    assert shown.status_code == 200
    assert "Type a percentage from 0.1 to 100" in text_of(shown)


def test_the_live_part_is_what_the_page_shows_and_no_more(page, stage):
    stage("internal")
    whole, part = page().content.decode(), page(LIVE).content.decode()
    assert "<html" not in part
    regions = re.findall(r'data-region="([\w-]+)"', part)
    assert regions == re.findall(r'data-region="([\w-]+)"', whole)
    assert len(regions) == len(set(regions)) > 10
    assert page(LIVE)["Cache-Control"].startswith("max-age=0")


def test_every_id_is_there_once_and_every_field_has_a_label(page, stage, ben, admin, signed_in):
    Proposal.objects.create(
        from_stage="internal",
        to_stage="percentage:10",
        from_version=0,
        reason="Old",
        proposer_id=ben.pk,
        proposer_label="Ben",
    )
    stage("percentage:33.3")
    stage("disabled")
    stage("percentage:20")
    html = signed_in(admin).get(PAGE).content.decode()
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert sorted(ids) == sorted(set(ids))
    for field in re.findall(r"<(?:textarea|select|input)\b[^>]*>", html):
        if 'type="hidden"' not in field and "aria-label=" not in field and 'name="stage"' not in field:
            found = re.search(r'\bid="([^"]+)"', field)
            assert found
            assert f'for="{found[1]}"' in html


def test_there_is_no_code_or_style_in_the_page(page, stage, happen):
    stage("percentage:10")
    happen(3, failed=1)
    for address in (PAGE, LIVE):
        assert not re.search(FORBIDDEN, page(address).content.decode())


def test_templates_and_script_let_no_markup_through():
    for path in (settings.BASE_DIR / "templates" / "admin").rglob("*.html"):
        assert not re.search(r"\|\s*safe\b|autoescape\s+off", path.read_text()), path
    for path in (settings.BASE_DIR / "static" / "admin-rollout").glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()), path


def test_who_may_not_view_sees_nothing(signed_in, operators, member):
    blind = signed_in(operators("propose", "approve", "rollback"))
    for address in (PAGE, LIVE, "/admin/rollout/change/"):
        assert blind.get(address).status_code == 403
    for visitor in (Client(), signed_in(member())):
        for address in (PAGE, LIVE):
            assert visitor.get(address).status_code == 302


def test_the_flags_raw_row_cannot_be_edited_and_the_record_only_read(signed_in, admin):
    client, change = signed_in(admin), Change.objects.latest("pk")
    assert client.get("/admin/rollout/flag/").status_code == 404
    assert client.get("/admin/waffle/flag/").status_code == 404
    assert client.get("/admin/rollout/change/").status_code == 200
    assert client.get(f"/admin/rollout/change/{change.pk}/change/").status_code == 200
    assert client.post(f"/admin/rollout/change/{change.pk}/change/", {"reason": "x"}).status_code == 403
    assert client.post(f"/admin/rollout/change/{change.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/rollout/change/add/").status_code == 403


def test_the_page_runs_few_queries_whatever_the_amount_of_data(page, stage, happen, alert):
    """The status is read by one function; what the page adds to it is the session, the member and the permissions."""
    stage("percentage:10")
    happen(1)
    alert("Something is up.", kind="slow_call")
    page()
    with CaptureQueriesContext(connection) as status_alone:
        read_status()
    with CaptureQueriesContext(connection) as few:
        page()
    for number in range(20):
        stage("percentage:10", v1_writes=bool(number % 2))
    happen(60, failed=20)
    for kind in ("error_rate", "latency", "duplicates"):
        alert("Something is up.", kind=kind)
    with CaptureQueriesContext(connection) as many:
        page()
    assert len(few) - len(status_alone) <= 4
    assert len(many) == len(few)


def test_the_page_says_how_long_things_are_kept_and_who_sees_to_it(db, signed_in, staff, settings):
    settings.EVENTS_RETENTION_DAYS = 31
    page = signed_in(staff()).get("/admin/rollout/").content.decode()
    assert "How long things are kept" in page
    assert "31 days" in page
    assert "the worker, every 60 minutes" in page
    assert "nobody: the worker does not run" not in page


def test_the_top_says_who_is_served_in_either_version_and_what_fails(page, stage, happen):
    stage("percentage:10")
    happen(20, version="v2")
    happen(19, version="v1", failed=19, code="database_error", request_id="req-1")
    shown = text_of(page())
    assert "V1 Failing 0 of 19" in shown
    assert "V2 Served 20 of 20" in shown
    assert "database_error : 19 in V1" in shown
    assert "Requests: req-1 req-1 req-1" in shown


def test_the_top_says_when_a_version_takes_no_starts(page, stage):
    stage("disabled")
    assert "V1 No starts V2 Off" in text_of(page())
    stage("enabled")
    assert "V1 Off V2 No starts" in text_of(page())


def test_the_top_says_what_changed_last_by_whom_and_why(page, admin, signed_in):
    asked = {"action": "override", "stage": "internal", "reason": "A rehearsal."}
    assert signed_in(admin).post(PAGE, asked).status_code == 302
    assert re.search(r"Last change Disabled → Internal , just now, [^)]* UTC , by Root A rehearsal\.", text_of(page()))


def test_the_top_says_whether_somebody_was_told(page, stage, alert, settings, beyond_policies):
    stage("internal")
    assert "Nobody. No channel is set up" in text_of(page())
    settings.SLACK_WEBHOOK_URL = "http://127.0.0.1:9/"
    assert "No alert yet. Alerts go to: slack." in text_of(page())
    alert("9 of 20 operations failed.")
    assert "Not yet: Operations fail. It is on its way." in text_of(page())
    sent = "INSERT INTO rollout_delivery (alert_id, channel, what, attempts, error, requested_by_label, {0}) SELECT id, 'slack',"
    with beyond_policies() as cursor:
        cursor.execute(f"{sent.format('failed_at')} 'opened', 1, 'answered 500', '', now() FROM rollout_alert")
    assert "Not yet: Operations fail. Failed: slack (answered 500)." in text_of(page())
    with beyond_policies() as cursor:
        cursor.execute("UPDATE rollout_delivery SET delivered_at = '2026-03-01 03:04:05Z', error = ''")
    assert "Yes, by slack at 1 Mar 2026, 03:04:05 UTC : Operations fail." in text_of(page())


def test_an_alert_can_be_taken_on_once_and_says_by_whom(page, stage, alert, signed_in, ben):
    stage("internal")
    alert("9 of 20 operations failed.")
    (number,) = re.findall(r'id="acknowledge-(\d+)"', page().content.decode())
    assert signed_in(ben).post(PAGE, {"action": "acknowledge", "alert": number}).status_code == 302
    shown = text_of(page())
    assert "Ben has got this" in shown
    assert "I have got this" not in shown
    assert signed_in(ben).post(PAGE, {"action": "acknowledge", "alert": "999"}).status_code == 404


def test_the_tabs_title_says_the_state(page, stage):
    stage("percentage:10")
    assert "<title>Not enough yet: 10% |" in page().content.decode()
