"""The values that bodies are made of, with their limits.

Limits are there so that nothing of any size is stored or passed on: generous for people, and
within what the gateway takes where it gets the value (https://docs.stripe.com/api).
"""

from typing import Annotated

from msgspec import Meta, Struct

from adapters.system.currencies import CURRENCIES
from domain.orders.draft import MAX_METADATA_NAMES
from domain.shared.money import MAX_AMOUNT

Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="In the currency's minor unit.")]
AmountOrZero = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="In the currency's minor unit.")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
CurrencyCode = Annotated[
    str,
    Meta(
        pattern=f"^(?:{'|'.join(sorted(CURRENCIES))})\\Z",
        description="An upper-case currency code of ISO 4217.",
    ),
]

# Python's `$` would let a final line break through; the OpenAPI document says `$`, which means `\Z` there.
OrderId = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", description="An order's id: 1 to 64 of A-Z a-z 0-9 _ -.")
]
PaymentId = Annotated[str, Meta(pattern=r"^pay_[0-9A-Za-z]{1,60}\Z", description="A payment's id.")]
UserId = Annotated[str, Meta(min_length=1, max_length=255)]
Token = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_-]{1,255}\Z", description="A payment method's token at the gateway.")
]
Url = Annotated[
    str,
    Meta(pattern=r"^https?://[^\s/?#]+[^\s]*\Z", max_length=2048, description="An http or https address."),
]
Signature = Annotated[str, Meta(min_length=1, max_length=8192)]

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Sku = Annotated[str, Meta(min_length=1, max_length=100)]
Code = Annotated[str, Meta(min_length=1, max_length=32)]
Description = Annotated[str, Meta(min_length=1, max_length=1000)]
DescriptorSuffix = Annotated[
    str, Meta(min_length=1, max_length=100, description="The payment's own part of the statement descriptor.")
]
Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Email = Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\Z", max_length=254, description="An e-mail address.")]
AddressLine = Annotated[str, Meta(min_length=1, max_length=200)]
PostalCode = Annotated[str, Meta(min_length=1, max_length=32)]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z", description="Two letters of ISO 3166-1.")]

MetadataName = Annotated[str, Meta(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Meta(max_length=500)]
Metadata = Annotated[dict[MetadataName, MetadataValue], Meta(max_length=50)]

MetadataChanges = Annotated[dict[MetadataName, MetadataValue | None], Meta(max_length=2 * MAX_METADATA_NAMES)]


class Strict(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The base of everything that clients send: a misspelt field is told, not ignored."""


class Answered(Struct, kw_only=True, rename="camel"):
    """The base of everything that we answer."""
