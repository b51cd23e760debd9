"""Who is in V2: the decision, the state it is taken from, and how every process learns of it."""
