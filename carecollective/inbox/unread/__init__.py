"""What is new to a member, and what they have put away: marks, the archive, the count on every page."""
