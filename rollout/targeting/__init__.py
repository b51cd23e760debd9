"""Who is in V2: the decision, the state behind it, and how every process learns of it."""
