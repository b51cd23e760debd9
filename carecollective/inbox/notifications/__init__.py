"""Mail to members about their conversations: when it goes, what it is about, and how it is worded."""
