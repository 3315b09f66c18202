"""The body of the calls that acknowledge an attention."""

from typing import Annotated

from msgspec import Meta

from entrypoints.http.schemas.values import Reason, Strict


class AcknowledgeBody(Strict):
    attention: Annotated[str, Meta(pattern=r"^[A-Z_]{1,64}\Z")]
    """The one that is dealt with, as the order or the payment has it."""
    comment: Reason
    """What was done about it. It stands in the audit log for good: no personal data."""
