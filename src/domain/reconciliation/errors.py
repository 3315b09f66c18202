"""What reconciliation refuses, in words for the caller."""

from domain.shared.errors import Conflict, NotFound


class FindingNotFound(NotFound):
    """There is no such finding."""

    code = "finding_not_found"


class FindingClosed(Conflict):
    """The finding is not open any more."""

    code = "finding_closed"
