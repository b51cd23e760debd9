"""Signing in and staying signed in: passwords, sessions, tokens, and what holds guesses back."""
