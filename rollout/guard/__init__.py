"""The process that watches the rollout and turns V2 off, and its checks."""
