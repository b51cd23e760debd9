"""What happened: operations as they end, counted and kept."""
