"""Tell what became of an order's payments, for `explain`."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.ports import UnitOfWorkFactory
from domain.payments.story import tell
from domain.shared.money import Currencies
from domain.shared.timeline import TimelineEntry


@dataclass(frozen=True, slots=True)
class ReadStoryHandler:
    unit_of_work: UnitOfWorkFactory
    currencies: Currencies

    async def __call__(self, order_id: str) -> Sequence[TimelineEntry]:
        """For the order side, which knows who may see it; none for an order without a payment."""
        async with self.unit_of_work() as uow:
            stories = await uow.stories.of_order(order_id)
        return [entry for story in stories for entry in tell(story, self._in_words)]

    def _in_words(self, amount: int, code: str) -> str:
        currency = self.currencies.find(code)
        return currency.format(amount) if currency else f"{amount} {code}"
