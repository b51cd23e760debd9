"""The buttons that end a conversation or take that back. Each leads back to the thread, which says how it stands."""

from carecollective.accounts.pages import button_page
from carecollective.inbox.closing import services

close_conversation = button_page(services.close_conversation, "thread")
reopen_conversation = button_page(services.reopen_conversation, "thread")
block_other = button_page(services.block_other, "thread")
unblock_other = button_page(services.unblock_other, "thread")
