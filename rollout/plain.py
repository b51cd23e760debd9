"""Makes records from rows, and JSON values from records."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from rollout.stages import Stage

T = TypeVar("T")


def record_from(row: Any, shape: type[T], **others: Any) -> T:
    """Make a record of a row: its fields of the same names, and the others as given."""
    names = {part.name for part in fields(shape)} - others.keys()  # type: ignore[arg-type]
    return shape(**{name: getattr(row, name) for name in names}, **others)


def as_plain(value: Any) -> Any:
    """Turn a record and everything in it into JSON values."""
    if isinstance(value, Stage | UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: as_plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_plain(item) for item in value]
    return value
