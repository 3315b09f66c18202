"""Tell what became of an order's payments, for `explain`, and of one of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.payments.errors import PaymentNotFound
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.story import PaymentStory, tell
from domain.shared.callers import Caller
from domain.shared.money import Currencies
from domain.shared.timeline import TimelineEntry


@dataclass(frozen=True, slots=True)
class GetPaymentStoryHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, caller: Caller, payment_id: str) -> PaymentStory:
        """All that is kept of a payment. Raises PaymentNotFound, also where the payment is another's."""
        async with self.unit_of_work() as uow:
            payment = await uow.payments.get(payment_id)
            if payment is None or not caller.may_touch(user_id=payment.user_id, order_id=payment.order_id):
                raise PaymentNotFound
            stories = await uow.stories.of_order(payment.order_id)
        return next(story for story in stories if story.payment.payment_id == payment_id)


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
