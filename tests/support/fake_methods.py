"""The payment methods that a gateway in memory knows: test tokens, and what customers have saved."""

from dataclasses import dataclass, field

from domain.payments.gateway import GatewayMethod
from domain.payments.saved_method import MethodPage, SavedMethod
from domain.shared.errors import Malformed
from domain.shared.system import Clock


@dataclass
class FakeMethods:
    """`kinds` says which test token each saved method pays like; tests may change it."""

    clock: Clock
    test_tokens: frozenset[str]
    owners: dict[str, str | None] = field(default_factory=dict)
    """The customers that saved methods belong to; None where they are detached, and paid with no more."""
    kinds: dict[str, str] = field(default_factory=dict)
    saved: dict[str, SavedMethod] = field(default_factory=dict)

    def attach(self, token: str, customer_id: str, kind: str) -> None:
        self.owners[token] = customer_id
        self.kinds[token] = kind
        self.saved[token] = SavedMethod(
            token=token,
            type="card",
            created_at=self.clock.now(),
            brand="visa",
            last4="4242",
            exp_month=12,
            exp_year=2034,
        )

    def find(self, token: str) -> GatewayMethod | None:
        if token in self.test_tokens:
            return GatewayMethod(token, None)
        return GatewayMethod(token, self.owners[token]) if token in self.owners else None

    def list(self, customer_id: str, after: str | None, limit: int) -> MethodPage:
        if after is not None and after not in self.owners:
            raise Malformed(pointer="?cursor")
        tokens = list(reversed(self.owners))
        behind = tokens[tokens.index(after) + 1 :] if after is not None else tokens
        owned = [self.saved[token] for token in behind if self.owners[token] == customer_id]
        return MethodPage(owned[:limit], more=len(owned) > limit)

    def detach(self, token: str) -> None:
        self.owners[token] = None
