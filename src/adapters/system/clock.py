"""The real clock."""

from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        """The present moment in UTC, to the microsecond that PostgreSQL keeps."""
        return datetime.now(UTC)
