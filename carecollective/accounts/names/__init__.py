"""Which names a member may take: one line, readable, and nobody else's."""
