"""Signing in: passwords, sessions, tokens, and the throttling of failed attempts."""
