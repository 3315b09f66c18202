"""What the operators are told to enable at Stripe is what we follow."""

from pathlib import Path

from adapters.stripe.event_types import FOLLOWED_TYPES

_OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


def test_the_documented_types_are_those_that_are_followed() -> None:
    blocks = _OPERATING.read_text("utf-8").split("```")[1::2]
    documented = next(block for block in blocks if "payment_intent.succeeded\n" in block)
    assert documented.split() == list(FOLLOWED_TYPES)
