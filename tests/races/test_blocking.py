"""A block and a message at the same moment: whatever is stored was stored before the block."""

from functools import partial

import pytest

from carecollective.inbox.services import offer_help, send_message
from carecollective.safety.services import block_member

OFFER = "Hello, I can bring them."
LATEST = """
SELECT (SELECT created_at FROM safety_block) > max(created_at)
FROM (SELECT created_at FROM messages_v2 UNION ALL SELECT created_at FROM messages
      UNION ALL SELECT created_at FROM conversations_v2) written
"""
TRIALS = 10


@pytest.mark.parametrize("stage_name", ["disabled", "enabled"])
def test_nothing_arrives_after_a_block(crowd, owner, member, ask, stage, rows_of, stage_name):
    stage(stage_name)
    for _trial in range(TRIALS):
        helper = member()
        key = offer_help(actor=helper, help_request_id=ask().pk, initial_message=OFFER).conversation_id
        crowd(
            partial(send_message, actor=helper, conversation_id=key, content="Now?"),
            partial(block_member, actor=owner, member_id=helper.pk),
            partial(send_message, actor=owner, conversation_id=key, content="No."),
            partial(offer_help, actor=helper, help_request_id=ask().pk, initial_message=OFFER),
        )
        assert rows_of(LATEST) == [(True,)]
        rows_of("DELETE FROM safety_block RETURNING true")
