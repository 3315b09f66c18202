"""Make a payment for an order: an unconfirmed intent, and its confirmation where asked for."""

from dataclasses import dataclass, field, replace

from domain.payments.check_back import OrderCheck, Wanted
from domain.payments.errors import GatewayRefusedRequest, GatewayUnavailable
from domain.payments.gateway import (
    CaptureMethod,
    Customer,
    FutureUsage,
    GatewayRefused,
    GatewayUnknown,
    IntentDraft,
    LineItem,
    PaymentGateway,
)
from domain.payments.methods import check_method, check_session
from domain.payments.operation import FIRST_CHECK_AFTER, Operation, OperationKind, OperationStatus
from domain.payments.operations import OperationRunner, start
from domain.payments.outcome import refusal
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.payments.states import CONFIRMABLE
from domain.payments.use_cases.confirm_payment import confirmation
from domain.shared.callers import Caller
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePayment:
    """`request_id` is the same at every repetition of one request; the payment's id follows from it."""

    request_id: str
    caller: Caller
    order_id: str
    amount: int
    currency: str
    confirm: bool
    return_url: str
    capture_method: CaptureMethod = CaptureMethod.AUTOMATIC
    user_id: str | None = None
    description: str | None = None
    lines: tuple[LineItem, ...] = ()
    shipping_amount: int | None = None
    discount_amount: int | None = None
    tax_amount: int | None = None
    customer: Customer | None = field(default=None, repr=False)
    payment_method_token: str | None = field(default=None, repr=False)
    setup_future_usage: FutureUsage | None = None
    off_session: bool = False
    """The customer is not there: the method must be one that they have saved."""
    receipt_email: str | None = field(default=None, repr=False)
    statement_descriptor_suffix: str | None = None
    order_snapshot: str | None = field(default=None, repr=False)
    """The order's signed terms; whether they are needed, or suffice, is the caller's policy."""


@dataclass(frozen=True, slots=True)
class CreatePaymentHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    check_order: OrderCheck
    runner: OperationRunner
    clock: Clock
    receipts_to_customers: bool = False
    """Whether a receipt goes to the customer's address where the request names no other."""

    async def __call__(self, command: CreatePayment) -> Payment:
        """The payment, as it stands after the gateway's answer.

        Before anything is begun it raises what the gateway's `check_amount` and `check_descriptor_suffix`,
        `check_session`, `check_method` and `OrderCheck` do, UserDiffers, PaymentInProgress or GatewayUnavailable; afterwards GatewayRefusedRequest where the gateway proved
        that it did nothing.
        """
        payment_id = f"pay_{command.request_id}"
        async with self.unit_of_work() as uow:
            begun = await uow.payments.get(payment_id)
        payment = await (self._resume(command, begun) if begun else self._make(command, payment_id))
        return await self._confirmed(command, payment)

    async def _make(self, command: CreatePayment, payment_id: str) -> Payment:
        user_id = command.caller.acting_user(command.user_id)
        wanted = Wanted(
            order_id=command.order_id,
            amount=command.amount,
            currency=command.currency,
            snapshot=command.order_snapshot,
        )
        await self.check_order(command.caller, wanted)
        gateway = await self._choose_gateway(command)
        self.check_rules(gateway, command, user_id)
        customer_id = await self._customer(gateway, command, user_id)
        await check_method(
            gateway, command.payment_method_token, customer_id, off_session=command.off_session
        )
        operation, draft = await self._begin(gateway.name, command, payment_id, user_id, customer_id)
        return await self.runner.run(operation, self._next(command, draft))

    async def _choose_gateway(self, command: CreatePayment) -> PaymentGateway:
        """See `domain.payments.routing`. A token is only unknown where every account says so."""
        taking = self.gateways.taking(command.amount, command.currency)
        reachable = self.gateways.for_new_payment(command.amount, command.currency)
        token, unasked = command.payment_method_token, len(taking) - len(reachable)
        if token is None or len(taking) == 1:
            return reachable[0]
        for gateway in reachable:
            try:
                if await gateway.find_method(token) is not None:
                    return gateway
            except GatewayUnknown:
                unasked += 1
            except GatewayRefused:
                continue  # for this account's key or rules, not for the token
        if unasked:
            raise GatewayUnavailable
        return reachable[0]

    async def _resume(self, command: CreatePayment, payment: Payment) -> Payment:
        """An earlier run of this request was cut off: take up what it saved."""
        async with self.unit_of_work() as uow:
            create = await uow.operations.get(f"{command.request_id}-create")
            again = await uow.operations.get(f"{command.request_id}-create-again")
            plain = await uow.operations.get(f"{command.request_id}-create-plain")
            confirm = await uow.operations.get(f"{command.request_id}-confirm")
        latest = confirm or plain or again or create
        then = self._next(command, self.draft(command, payment.gateway_customer_id))
        if latest is not None and latest.open:
            return await self.runner.recover(latest, then)
        if latest is not None and latest.status is OperationStatus.FAILED:
            raise refusal(latest, payment, latest.error)
        return payment

    async def _confirmed(self, command: CreatePayment, payment: Payment) -> Payment:
        """Begin the confirmation where recovery concluded the creation, which knows of nothing to follow."""
        if not command.confirm or not _may_confirm(payment):
            return payment
        async with self.unit_of_work() as uow:
            payment = await uow.payments.lock(payment.payment_id) or payment
            begun = await uow.operations.get(f"{command.request_id}-confirm")
            if begun is not None or not _may_confirm(payment):
                return payment
            operation = self.confirmation(command, payment)
            await start(uow, payment, operation)
            await uow.commit()
        return await self.runner.run(operation)

    @staticmethod
    def check_rules(gateway: PaymentGateway, command: CreatePayment, user_id: str | None) -> None:
        """What can be told without asking the gateway."""
        if command.statement_descriptor_suffix is not None:
            gateway.check_descriptor_suffix(command.statement_descriptor_suffix)
        check_session(
            has_user=user_id is not None,
            setup_future_usage=command.setup_future_usage,
            off_session=command.off_session,
        )

    async def _customer(
        self, gateway: PaymentGateway, command: CreatePayment, user_id: str | None
    ) -> str | None:
        """The gateway's customer object of this user, made on the first payment."""
        if user_id is None:
            return None
        async with self.unit_of_work() as uow:
            known = await uow.customers.find(gateway.name, user_id)
        if known is not None:
            return known
        return await self._make_customer(gateway, command, user_id, f"{command.request_id}-customer")

    async def _make_customer(
        self, gateway: PaymentGateway, command: CreatePayment, user_id: str, key: str
    ) -> str:
        """Of two that are made at once for a user the first is kept; the other stays without payments."""
        try:
            made = await gateway.create_customer(user_id, command.customer, key)
        except GatewayUnknown as error:
            raise GatewayUnavailable from error
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer="/customer") from error
        async with self.unit_of_work() as uow:
            kept = await uow.customers.put(gateway.name, user_id, made)
            await uow.commit()
        return kept

    async def replace_customer(self, gateway: str, command: CreatePayment, deleted: str) -> str | None:
        """Forget a customer whom the gateway no longer has, and make another; None where that fails."""
        user_id = command.caller.acting_user(command.user_id)
        if user_id is None:
            return None
        async with self.unit_of_work() as uow:
            await uow.customers.forget(gateway, user_id, deleted)
            await uow.commit()
        key = f"{command.request_id}-customer-again"
        try:
            return await self._make_customer(self.gateways.of(gateway), command, user_id, key)
        except (GatewayUnavailable, GatewayRefusedRequest):
            return None  # the refusal of the payment stands, and the next one makes the customer

    async def _begin(
        self,
        gateway: str,
        command: CreatePayment,
        payment_id: str,
        user_id: str | None,
        customer_id: str | None,
    ) -> tuple[Operation, IntentDraft]:
        now = self.clock.now()
        payment = Payment(
            payment_id=payment_id,
            order_id=command.order_id,
            user_id=user_id,
            amount=command.amount,
            currency=command.currency,
            capture_method=command.capture_method,
            description=command.description,
            gateway=gateway,
            gateway_customer_id=customer_id,
            created_at=now,
            updated_at=now,
        )
        draft = self.draft(command, customer_id)
        lines = self.gateways.of(gateway).check_lines(draft)
        payment.line_items, payment.line_item_faults = lines.outcome, lines.faults
        operation = self.creation(payment, draft, f"{command.request_id}-create", command.caller)
        payment.begin(operation)
        async with self.unit_of_work() as uow:
            await uow.payments.add(payment)
            await uow.operations.add(operation)
            await uow.commit()
        return operation, draft

    def draft(self, command: CreatePayment, customer_id: str | None) -> IntentDraft:
        return IntentDraft(
            payment_id=f"pay_{command.request_id}",
            order_id=command.order_id,
            amount=command.amount,
            currency=command.currency,
            capture_method=command.capture_method,
            gateway_customer_id=customer_id,
            payment_method_token=command.payment_method_token,
            description=command.description,
            customer=command.customer,
            lines=command.lines,
            shipping_amount=command.shipping_amount,
            discount_amount=command.discount_amount,
            tax_amount=command.tax_amount,
            setup_future_usage=command.setup_future_usage,
            receipt_email=command.receipt_email or self._customers_address(command),
            statement_descriptor_suffix=command.statement_descriptor_suffix,
        )

    def _customers_address(self, command: CreatePayment) -> str | None:
        return command.customer.email if command.customer and self.receipts_to_customers else None

    def creation(self, payment: Payment, draft: IntentDraft, operation_id: str, caller: Caller) -> Operation:
        now = self.clock.now()
        try:
            request = self.gateways.of(payment.gateway).prepare_create(draft)
        except GatewayRefused as error:
            raise GatewayRefusedRequest(error.message, pointer=error.pointer) from error
        return Operation(
            operation_id=operation_id,
            payment_id=payment.payment_id,
            gateway=payment.gateway,
            kind=OperationKind.CREATE,
            request=request,
            created_at=now,
            next_check_at=now + FIRST_CHECK_AFTER,
            payment_version=payment.version,
            requested_by=caller.subject,
            actor=caller.actor,
        )

    def confirmation(self, command: CreatePayment, payment: Payment) -> Operation:
        gateway = self.gateways.of(payment.gateway)
        return confirmation(gateway, payment, f"{command.request_id}-confirm", command, self.clock.now())

    def _next(self, command: CreatePayment, draft: IntentDraft) -> "_Next":
        return _Next(self, command, draft)


def _may_confirm(payment: Payment) -> bool:
    return payment.intent_id is not None and payment.in_flight is None and payment.status in CONFIRMABLE


@dataclass(slots=True)
class _Next:
    """After the creation comes the confirmation.

    After a creation refused since the customer was deleted at the gateway comes one with a new customer,
    after one refused for its line items one without them.
    """

    handler: CreatePaymentHandler
    command: CreatePayment
    draft: IntentDraft
    new_customer: str | None = None

    async def on_refusal(self, operation: Operation, refused: GatewayRefused) -> None:
        deleted = self.draft.gateway_customer_id
        missing = (refused.code, refused.param) == ("resource_missing", "customer")
        if missing and deleted is not None and operation.operation_id.endswith("-create"):
            self.new_customer = await self.handler.replace_customer(operation.gateway, self.command, deleted)

    def __call__(
        self, concluded: Operation, payment: Payment, refused: GatewayRefused | None
    ) -> Operation | None:
        if concluded.kind is not OperationKind.CREATE:
            return None
        if refused is not None:
            return self._after_refusal(concluded, payment, refused)
        if not self.command.confirm or payment.status not in CONFIRMABLE:
            return None
        return self.handler.confirmation(self.command, payment)

    def _after_refusal(
        self, concluded: Operation, payment: Payment, refused: GatewayRefused
    ) -> Operation | None:
        if self.new_customer is not None and concluded.operation_id.endswith("-create"):
            payment.gateway_customer_id = self.new_customer
            self.draft = replace(self.draft, gateway_customer_id=self.new_customer)
            return self.handler.creation(
                payment, self.draft, f"{self.command.request_id}-create-again", self.command.caller
            )
        about_lines = (refused.param or "").startswith("amount_details")
        if not about_lines or concluded.operation_id.endswith("-plain"):
            return None
        payment.leave_lines_out(refused.message)
        plain = replace(self.draft, lines=(), shipping_amount=None, discount_amount=None, tax_amount=None)
        return self.handler.creation(
            payment, plain, f"{self.command.request_id}-create-plain", self.command.caller
        )
