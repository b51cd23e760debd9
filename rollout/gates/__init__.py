"""Is it good enough: each figure against what a stage asks."""
