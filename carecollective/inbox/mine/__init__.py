"""What a member asked for, where they offered, who helped, and what the site says of it in threads."""
