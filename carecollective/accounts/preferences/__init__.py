"""What a member wants to be written about, how soon, and when not."""
