"""Answering a conversation by replying to its mail. Off unless `REPLY_DOMAIN` is set."""
