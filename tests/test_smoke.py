from carecollective.inbox.selectors import list_conversations, open_thread
from carecollective.inbox.services import offer_help, send_message


def test_whole_path(db, member, help_request, stage):
    ask = help_request()
    for name, version in (("disabled", "v1"), ("enabled", "v2")):
        stage(name)
        helper = member()
        started = offer_help(actor=helper, help_request_id=ask.pk, initial_message="Hello, I can help you.")
        assert started.version == version
        stage(name, v1_writes=True)
        sent = send_message(actor=ask.user, conversation_id=started.conversation_id, content="Thanks!")
        assert sent.is_new
        page = list_conversations(reader=helper)
        assert [row.unread_count for row in page.rows] == [1]
        thread = open_thread(reader=helper, conversation_id=started.conversation_id, mark_read=True)
        assert thread.messages[-1].content == "Thanks!"
        assert [row.unread_count for row in list_conversations(reader=helper).rows] == [0]
    assert len(list_conversations(reader=ask.user).rows) == 2
