"""Ending a conversation, by closing it or by blocking the other, and taking that back: services, pages and API."""
