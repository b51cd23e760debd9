from enum import StrEnum


class MessagingVersion(StrEnum):
    """The two messaging systems. A conversation keeps the one it was born with."""

    V1 = "v1"
    V2 = "v2"
