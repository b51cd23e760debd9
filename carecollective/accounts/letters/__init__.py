"""Mail about membership: to applicants, and to staff about who waits."""
