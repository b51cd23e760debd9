from enum import StrEnum


class MessagingVersion(StrEnum):
    """The two messaging systems. A conversation never changes its version."""

    V1 = "v1"
    V2 = "v2"
