"""Unread marks, the archive, and the count of unread messages on every page."""
