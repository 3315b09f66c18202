"""The payment service, made and joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.circuit_breaker.circuit import Circuit
from adapters.cloudevents import payment_events
from adapters.postgres.idempotency import PostgresIdempotencyStore
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.statements import PostgresPaymentStatements
from adapters.system.currencies import IsoCurrencies
from domain.payments.check_back import OrderCheck
from domain.payments.operations import OperationRunner
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.refund_desk import RefundDesk
from domain.payments.refund_policy import RefundPolicy
from domain.payments.routing import Gateways
from domain.payments.use_cases.acknowledge_attention import AcknowledgeAttentionHandler
from domain.payments.use_cases.cancel_payment import CancelPaymentHandler
from domain.payments.use_cases.capture_payment import CapturePaymentHandler
from domain.payments.use_cases.check_payments import CheckPaymentsHandler
from domain.payments.use_cases.confirm_payment import ConfirmPaymentHandler
from domain.payments.use_cases.create_payment import CreatePaymentHandler
from domain.payments.use_cases.create_refund import CreateRefundHandler
from domain.payments.use_cases.decide_refund import ApproveRefundHandler, RejectRefundHandler
from domain.payments.use_cases.expire_approvals import ExpireApprovalsHandler
from domain.payments.use_cases.forget_webhooks import ForgetWebhooksHandler
from domain.payments.use_cases.preflight_payment import PreflightPaymentHandler
from domain.payments.use_cases.read_disputes import GetDisputeHandler, ListDisputesHandler
from domain.payments.use_cases.read_payments import (
    CountAttentionsHandler,
    CountWaitingRefundsHandler,
    GetPaymentHandler,
    GetRefundHandler,
    ListEventsHandler,
    ListPaymentsHandler,
    ListRefundsHandler,
)
from domain.payments.use_cases.read_story import GetPaymentStoryHandler, ReadStoryHandler
from domain.payments.use_cases.read_webhooks import ListWebhooksHandler
from domain.payments.use_cases.receive_webhook import ReceiveWebhookHandler
from domain.payments.use_cases.recover_operations import RecoverOperationsHandler
from domain.payments.use_cases.refresh_payment import RefreshPaymentHandler
from domain.payments.use_cases.remind_of_evidence import RemindOfEvidenceHandler
from domain.payments.use_cases.replay_webhook import ReplayWebhookHandler
from domain.payments.use_cases.retry_refund import RetryRefundHandler
from domain.payments.use_cases.saved_methods import DetachSavedMethodHandler, ListSavedMethodsHandler
from domain.payments.use_cases.simulate_refund import SimulateRefundHandler
from domain.payments.use_cases.update_payment import UpdatePaymentHandler
from domain.shared.idempotency import IdempotencyStore
from entrypoints.composition.gateway_reconciliation import GatewayReconciliation
from entrypoints.composition.ledger import LedgerPart, build_ledger
from entrypoints.composition.outside import Outside
from entrypoints.gateways import build_gateways
from entrypoints.operating.logs import LoggedEvents, LoggedStreams, operations_of
from entrypoints.settings import Settings
from entrypoints.traces import current_traceparent
from outbox import Outbox, Waker


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentSide:
    engine: AsyncEngine
    outbox: Outbox
    waker: Waker
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    circuits: Mapping[str, Circuit]
    idempotency: IdempotencyStore
    create_payment: CreatePaymentHandler
    update_payment: UpdatePaymentHandler
    confirm_payment: ConfirmPaymentHandler
    capture_payment: CapturePaymentHandler
    cancel_payment: CancelPaymentHandler
    get_payment: GetPaymentHandler
    list_payments: ListPaymentsHandler
    preflight_payment: PreflightPaymentHandler
    list_saved_methods: ListSavedMethodsHandler
    detach_saved_method: DetachSavedMethodHandler
    count_attentions: CountAttentionsHandler
    acknowledge_attention: AcknowledgeAttentionHandler
    create_refund: CreateRefundHandler
    refund_policy: RefundPolicy
    simulate_refund: SimulateRefundHandler
    approve_refund: ApproveRefundHandler
    reject_refund: RejectRefundHandler
    retry_refund: RetryRefundHandler
    expire_approvals: ExpireApprovalsHandler
    count_waiting_refunds: CountWaitingRefundsHandler
    get_refund: GetRefundHandler
    list_refunds: ListRefundsHandler
    list_disputes: ListDisputesHandler
    get_dispute: GetDisputeHandler
    remind_of_evidence: RemindOfEvidenceHandler
    receive_webhook: ReceiveWebhookHandler
    forget_webhooks: ForgetWebhooksHandler
    list_events: ListEventsHandler
    read_story: ReadStoryHandler
    get_payment_story: GetPaymentStoryHandler
    list_webhooks: ListWebhooksHandler
    replay_webhook: ReplayWebhookHandler
    recover_operations: RecoverOperationsHandler
    refresh_payment: RefreshPaymentHandler
    check_payments: CheckPaymentsHandler
    ledger: LedgerPart
    statements: PostgresPaymentStatements
    reconciliation: GatewayReconciliation
    logged_events: LoggedEvents


def build_payments(
    settings: Settings, outside: Outside, engine: AsyncEngine, check_order: OrderCheck
) -> PaymentSide:
    outbox = Outbox("payments")
    waker = Waker(engine, outbox)
    uow = partial(
        PostgresPaymentsUnitOfWork,
        engine,
        outbox,
        partial(payment_events.encode, traceparent=current_traceparent),
        waker.wake,
    )
    clock, ids = outside.clock, outside.ids
    built = build_gateways(settings, clock.now, outside.gateway)
    gateways = built.gateways
    runner = OperationRunner(uow, gateways, clock, ids)
    desk = RefundDesk(settings.refund_policy.policy(), gateways, clock)
    receive_webhook = ReceiveWebhookHandler(uow, gateways, clock, ids)
    create_payment = CreatePaymentHandler(
        uow,
        gateways,
        check_order,
        runner,
        clock,
        receipts_to_customers=settings.receipts == "customer",
    )
    create_refund = CreateRefundHandler(uow, desk, runner)
    return PaymentSide(
        engine=engine,
        outbox=outbox,
        waker=waker,
        unit_of_work=uow,
        gateways=gateways,
        circuits=built.circuits,
        idempotency=PostgresIdempotencyStore(engine, "payments"),
        create_payment=create_payment,
        preflight_payment=PreflightPaymentHandler(create_payment),
        update_payment=UpdatePaymentHandler(uow, gateways, check_order, runner, clock),
        confirm_payment=ConfirmPaymentHandler(uow, gateways, runner, clock),
        capture_payment=CapturePaymentHandler(uow, gateways, runner, clock),
        cancel_payment=CancelPaymentHandler(uow, gateways, runner, clock),
        get_payment=GetPaymentHandler(uow),
        list_payments=ListPaymentsHandler(uow),
        list_saved_methods=ListSavedMethodsHandler(uow, gateways),
        detach_saved_method=DetachSavedMethodHandler(uow, gateways),
        count_attentions=CountAttentionsHandler(uow),
        acknowledge_attention=AcknowledgeAttentionHandler(uow, clock),
        create_refund=create_refund,
        refund_policy=desk.policy,
        simulate_refund=SimulateRefundHandler(uow, desk),
        approve_refund=ApproveRefundHandler(uow, desk, runner),
        reject_refund=RejectRefundHandler(uow, desk, ids),
        retry_refund=RetryRefundHandler(uow, desk, runner),
        expire_approvals=ExpireApprovalsHandler(uow, desk.policy, clock, ids),
        count_waiting_refunds=CountWaitingRefundsHandler(uow, clock),
        get_refund=GetRefundHandler(uow),
        list_refunds=ListRefundsHandler(uow),
        list_disputes=ListDisputesHandler(uow),
        get_dispute=GetDisputeHandler(uow),
        remind_of_evidence=RemindOfEvidenceHandler(uow, clock, ids),
        receive_webhook=receive_webhook,
        forget_webhooks=ForgetWebhooksHandler(uow, clock, timedelta(days=settings.webhook_retention_days)),
        list_events=ListEventsHandler(uow),
        read_story=ReadStoryHandler(uow, IsoCurrencies()),
        get_payment_story=GetPaymentStoryHandler(uow),
        list_webhooks=ListWebhooksHandler(uow),
        replay_webhook=ReplayWebhookHandler(receive_webhook),
        recover_operations=RecoverOperationsHandler(uow, runner, receive_webhook, clock),
        refresh_payment=RefreshPaymentHandler(uow, gateways, clock, ids),
        ledger=build_ledger(uow, gateways, clock, ids),
        check_payments=CheckPaymentsHandler(
            uow, gateways, clock, ids, timedelta(hours=settings.authorization_warning_hours)
        ),
        statements=PostgresPaymentStatements(engine, outbox.lanes),
        reconciliation=GatewayReconciliation(settings, outside, engine, receive_webhook, create_refund),
        logged_events=LoggedStreams(operations_of(engine, None)["payments"]),
    )
