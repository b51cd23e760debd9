"""Applicants: who waits to join, and what staff decide about them."""
