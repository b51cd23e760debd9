"""Is it good enough? Each metric against what a stage asks."""
