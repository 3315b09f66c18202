"""Take up what a crash or an unreachable gateway left open."""

from dataclasses import dataclass
from datetime import timedelta

from domain.payments.operations import OperationRunner
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.shared.errors import Conflict, Refused, Unavailable
from domain.shared.system import Clock

HELD_FOR = timedelta(minutes=1)
"""How long one process has a due operation to itself; longer than a look-up and a repetition take."""


@dataclass(frozen=True, slots=True)
class RecoverOperationsHandler:
    unit_of_work: UnitOfWorkFactory
    runner: OperationRunner
    webhooks: ReceiveWebhookHandler
    clock: Clock

    async def __call__(self, *, limit: int = 20) -> int:
        """Recover due operations and apply webhooks that waited; how many were taken up.

        What belongs to an account whose circuit is open stays due until it is closed. Raises Unavailable where some webhooks wait on, since the gateway could not be asked.
        """
        now, besides = self.clock.now(), self.runner.gateways.unreachable()
        async with self.unit_of_work() as uow:
            due = await uow.operations.take_due(now=now, until=now + HELD_FOR, limit=limit, besides=besides)
            waiting = await uow.webhooks.waiting_for_known_payments(limit=limit, besides=besides)
            await uow.commit()
        for operation in due:
            try:
                await self.runner.recover(operation)
            except (Refused, Conflict):
                continue  # the refusal is saved as the operation's outcome; here nobody waits for the answer
        unavailable: Unavailable | None = None
        for payment_id in waiting:
            try:
                await self.webhooks.apply_waiting(payment_id)
            except Unavailable as error:
                unavailable = error  # it may be this one payment's alone: the others have their turn first
        if unavailable is not None:
            raise unavailable
        return len(due) + len(waiting)
