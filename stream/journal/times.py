"""A wall time as words."""

from datetime import UTC, datetime


def name_time(wall_ns: int) -> str:
    """Return a wall time (ns since 1970, UTC) as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).isoformat(timespec="microseconds")
