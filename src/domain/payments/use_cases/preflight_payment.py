"""Say what a payment's Level 2/3 data are good for, before it is made."""

from dataclasses import dataclass

from domain.payments.line_data import LineCheck
from domain.payments.use_cases.create_payment import CreatePayment, CreatePaymentHandler


@dataclass(frozen=True, slots=True)
class PreflightPaymentHandler:
    create: CreatePaymentHandler

    def __call__(self, command: CreatePayment) -> LineCheck:
        """What the gateway that such a payment is given to would make of its lines; nobody is asked.

        Raises what the creation does for the request's own sake: see `CreatePaymentHandler`.
        """
        user_id = command.caller.acting_user(command.user_id)
        gateway = self.create.gateways.taking(command.amount, command.currency)[0].gateway
        self.create.check_rules(gateway, command, user_id)
        return gateway.check_lines(self.create.draft(command, None))
