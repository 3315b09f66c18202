"""The settings of a process: what an operator may set, with its default; `environment` reads them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from adapters.security.issuers import TrustedIssuer
from adapters.security.tls import TlsFiles
from adapters.standard_webhooks.addresses import AddressPolicy, Networks
from adapters.stripe.descriptors import LONGEST_PREFIX, SHORTEST_PREFIX
from domain.orders.money_policy import MoneyPolicy, OnCapturedLess, OnMoney, OnPaidAfterCancel
from domain.payments.check_back import CallerRule, CheckBack, CheckBackPolicy
from domain.reconciliation.finding import Action, FindingType
from entrypoints.refund_policy import DEFAULT_POLICY, RefundPolicySettings
from entrypoints.refusals import SettingsInvalid as SettingsInvalid

PREFIX = "PAYONCE_"


class Secret:
    """A value that never appears in a repr, a log or a formatted text; `reveal()` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str):
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret()"


UNSET = Secret("")


NO_NETWORKS = Networks()

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
Quota = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
DescriptorPrefix = Annotated[str, msgspec.Meta(min_length=SHORTEST_PREFIX, max_length=LONGEST_PREFIX)]
NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


MailAddress = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+\Z")]
"""In ASCII: its domain is the end of every mail's `Message-ID`."""

Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a gateway."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
    """Saved with each payment made there, and the end of its webhooks' address: never changed."""
    kind: NonEmpty
    """The plug-in that makes it."""
    currencies: frozenset[Currency] | None = None
    """What it is for; default: whatever the gateway takes."""
    own: dict[str, Any] = {}
    """The settings of the plug-in, secrets among them."""

    def __repr__(self) -> str:
        return f"AccountSettings(name={self.name!r}, kind={self.kind!r}, ***)"


class CheckBackCaller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of whom what is needed."""

    policy: CheckBack
    issuer: NonEmpty | None = None
    """The `iss` of their tokens; default: our own. `orders` is our order service."""
    subject: NonEmpty | None = None
    """Their `sub`, or `act.sub` where they act for somebody; default: all of that issuer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator may set. An unset address or secret is an empty `Secret`: see `require`."""

    home: Path = Path(".payonce")
    """The folder of keys, and of the embedded servers' data under `payonce up`."""
    service: Literal["all", "orders", "payments"] = "all"
    """Which of the two services this process runs."""

    host: NonEmpty = "127.0.0.1"
    """The address that the HTTP server listens on."""
    port: Port = 8000
    """Its port; 0 takes a free one."""

    orders_url: NonEmpty | None = None
    """The internal address of the order service, `https://…`, where it runs in another process."""
    payments_url: NonEmpty | None = None
    """The same of the payment service."""
    service_client_cert: Path | None = None
    """The certificate that we show the other service, a PEM file; with its key and the authority of theirs."""
    service_client_key: Path | None = None
    service_client_ca: Path | None = None
    service_timeout_seconds: Seconds = 30.0
    """How long a call to the other service may take; longer than the gateway may take for its own."""
    internal_port: Port | None = None
    """The port of a second listener of `serve`, for the other service: by mutual TLS alone."""
    tls_cert: Path | None = None
    """The certificate that it shows, a PEM file; with its key, and the authority of the certificates it accepts."""
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    check_back: CheckBack = CheckBack.CALLBACK
    """What a payment needs of its order: `snapshot` (its signed terms), `callback` (the order service is asked),
    `both`, or `off` (the caller is believed)."""
    check_back_callers: tuple[CheckBackCaller, ...] = ()
    """Callers of whom something else is needed; the first that fits decides. Tables `[[check_back_callers]]` in
    the file, a JSON array in the environment."""

    database_url: Secret = UNSET
    """PostgreSQL of both services, `postgresql://user:password@host:port/database`."""
    orders_database_url: Secret = UNSET
    """The order service's own database; default: `database_url`."""
    payments_database_url: Secret = UNSET
    """The payment service's own database; default: `database_url`."""
    database_pool_size: PositiveInt = 10
    """The most connections that one process keeps to each database."""
    database_pooler: Literal["none", "transaction"] = "none"
    """`transaction` where the database URLs lead to PgBouncer in its transaction mode."""
    listen_database_url: Secret = UNSET
    """Past a pooler to the database itself, for the one connection on which a relay listens.

    Default: `database_url`; behind a pooler none, and relays find events by polling."""
    orders_listen_database_url: Secret = UNSET
    """The same for the order service's own database; default: `listen_database_url`, else as above."""
    payments_listen_database_url: Secret = UNSET
    """The same for the payment service's own database."""
    migration_database_url: Secret = UNSET
    """The databases' owner, as whom `payonce migrate` and nothing else connects; default: `database_url`.

    Apart from it, `database_url` names a member of `payonce_app`, which can neither change nor remove what is
    append-only: docs/audit.md."""
    orders_migration_database_url: Secret = UNSET
    """The same for the order service's own database; default: `migration_database_url`, else its own."""
    payments_migration_database_url: Secret = UNSET
    """The same for the payment service's own database."""
    streams: PositiveInt = 1000
    """The most clients that follow orders live over one HTTP process; more are answered 503."""
    outbox_retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    """How long events that everybody has are kept in the logs, to be replayed."""
    inbox_retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 60
    """How long the ids of carried out effects are remembered; longer than the logs are kept.

    What comes later than that is parked, since it could be a repeat."""
    redis_url: Secret = UNSET
    """Redis or Valkey, Dramatiq's broker: `redis://:password@host:port/0`."""
    broker_url: Secret = UNSET
    """Dramatiq's broker where it is another: RabbitMQ, `amqp://user:password@host:port/vhost`, with the
    extra `rabbitmq`; default: `redis_url`."""
    kafka_bootstrap: NonEmpty | None = None
    """Kafka brokers, `host:port,host:port`; none: events travel by Dramatiq."""

    stripe_api_key: Secret = UNSET
    """The gateway's secret key."""
    stripe_webhook_secret: Secret = UNSET
    """The signing secret of our webhook endpoint at the gateway."""
    stripe_api_base: NonEmpty = "https://api.stripe.com"
    """The gateway's address: Stripe, or the sandbox."""
    stripe_timeout_seconds: Seconds = 20.0
    """How long one call to the gateway may take before its outcome counts as unknown."""
    authorization_warning_hours: Annotated[float, msgspec.Meta(gt=0, le=168)] = 24.0
    """How long before its lapse an authorization that nobody has captured is warned of."""
    stripe_multicapture: bool = False
    """Whether authorizations are to be captured in parts; Stripe refuses to ask for it where an account has it not."""
    statement_descriptor_prefix: DescriptorPrefix | None = None
    """The account's own part of statement descriptors, as Stripe's Dashboard has it.

    Known, it tells how long a payment's own part may be; else the shortest is taken for granted."""
    receipts: Literal["requested", "customer"] = "requested"
    """Who is sent the gateway's receipt: only the address that a request names, or else the customer's."""
    checkout_minutes: PositiveInt = 60
    """How long after the last that happened an unpaid checkout expires: time for a bank's redirect and a second
    try, and no longer, for it holds stock."""
    paid_after_cancel: Literal["refund", "reopen", "flag"] = "refund"
    """Money that comes for a canceled order: given back, or the order reopened if it has stock, or flagged."""
    paid_twice: Literal["refund", "flag"] = "refund"
    """Money of a payment whose place another one has taken."""
    amount_mismatch: Literal["refund", "flag"] = "flag"
    """Money in another amount or currency than the order's, which is never paid by it."""
    paid_without_stock: Literal["refund", "flag"] = "refund"
    """Money that comes so late that the order's stock has gone to others."""
    captured_less: Literal["accept", "flag"] = "flag"
    """A final capture of less than the order's total."""
    reconcile_seconds: Seconds = 15.0
    """How often the books of orders, payments and gateway are compared where they have changed."""
    reconcile_grace_seconds: Seconds = 30.0
    """How long an event or a webhook may be on its way before what it would tell counts as a difference."""
    reconcile_calls_per_second: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 20.0
    """How many calls each process that compares may make to the gateways; Stripe allows 100 reads a second to an
    account, 25 in its test mode."""
    reconcile_sweep_hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    """How often all that was made in `reconcile_sweep_days` is compared with the gateways, page by page."""
    reconcile_sweep_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    """How far into the past that goes."""
    repair_policy: dict[FindingType, Action] = {}
    """What is done about each type of finding: `apply`, `refund`, `flag` or `ignore` (docs/reconciliation.md). A table
    `[repair_policy]` in the file, a JSON object in the environment; a type that is not named has its default."""
    refund_policy: RefundPolicySettings = DEFAULT_POLICY
    """Who may give back how much without a second person, and who may approve more: a table `[refund_policy]` in the
    file, a JSON object in the environment (docs/refunds.md). Default: 1,000.00 EUR, and about as much in other
    common currencies, per refund, and fifty times that in a day."""
    webhook_tolerance_seconds: PositiveInt = 300
    """How old a webhook's signature may be (Stripe's own default is 300)."""
    gateways: tuple[AccountSettings, ...] = ()
    """The gateway accounts in the order in which new payments are offered to them: tables `[[gateways]]` in
    the file, a JSON array in the environment. Default: one, `stripe`, of the settings above."""
    circuit_failures: PositiveInt = 5
    """After so many calls in a row without an answer an account's circuit opens: nothing is sent to it."""
    circuit_pause_seconds: Seconds = 5.0
    """How long it is left alone before a probe asks whether it answers again."""
    webhook_retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 90
    """How long the bodies of webhooks are kept, to be shown and replayed; their ids are kept for 400 days."""
    webhook_allow_private: Networks = NO_NETWORKS
    """Networks that our own webhooks may be sent to although they are not public: `10.1.0.0/16,fd12::/32`."""
    webhook_allow_http: bool = False
    """Whether they may be sent without TLS, as in development."""
    webhook_delivery_retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    """How long finished deliveries are kept, to be shown and replayed."""
    fulfilment_url: Secret = UNSET
    """Where paid orders are sent to be shipped, by a signed webhook; without it, and without a registered endpoint
    for `FulfilmentRequested`, the log is told and each order counts as accepted."""
    fulfilment_secret: Secret = UNSET
    """What signs them: `whsec_` and 24 to 64 bytes in base64. The secret before signs too for a day."""
    return_url: NonEmpty = "http://127.0.0.1:8000/checkout/return"
    """Where a customer comes back to after a redirect, unless the request names another place.

    By default a page of our own, which asks the gateway how the payment went."""

    smtp_url: Secret = UNSET
    """The mail server for messages to customers, `smtp://user:password@host:port` (STARTTLS where it has it, and
    always before a password is told) or `smtps://…` (TLS from the start); without one they go to the log."""
    smtp_timeout_seconds: Seconds = 10.0
    """How long the mail server may take for each of its answers."""
    mail_from: MailAddress | None = None
    """The address that mails come from; required with `smtp_url`."""
    operator_mail: MailAddress | None = None
    """Who is sent the daily summary of reconciliation; without it, or without a mail server, it goes to the log."""
    shop_name: NonEmpty = "Payonce"
    """What customers know the shop by: the name that mails come from."""
    shop_url: NonEmpty | None = None
    """Where customers see an order and try to pay it again, with `{orderId}` in it:
    `https://shop.example/orders/{orderId}`. Without one, mails ask them to go back to the shop."""

    issuer: NonEmpty = "payonce"
    """The `iss` of the tokens we sign and accept."""
    audience: NonEmpty = "payonce"
    """The `aud` of the tokens we sign and accept."""
    signing_key_file: Path = Path()
    """The private JWK set that `payonce keys` makes; default: `keys.json` under `home`."""
    data_keys: Secret = UNSET
    """The keys that personal data and secrets are encrypted under in the database, `id:base64` of 32 bytes each,
    with commas between, the newest first; default: those of `data_key_file`."""
    data_key_file: Path = Path()
    """The same as a set of symmetric JWKs, which `payonce keys` makes; default: `data-keys.json` under `home`."""
    order_token_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 90
    """How long a guest's `orderToken` opens their order: long enough to receive it, and to send it back."""
    jwks: NonEmpty | None = None
    """More public keys whose tokens we accept: the path of a JWK set, or the JSON itself."""
    trusted_issuers: tuple[TrustedIssuer, ...] = ()
    """Other issuers whose tokens we accept, by their published keys: tables `[[trusted_issuers]]` in the
    file, a JSON array in the environment."""

    request_head_seconds: Seconds = 10.0
    """How long a client may take to send the headers of a request."""
    request_body_seconds: Seconds = 30.0
    """How long it may take for the body behind them."""
    rate_limit_reads: Quota = 24_000
    """How many calls that read one caller may make in a minute; ten times as many with `users:any`.

    Of this and the other rate limits, 0 is none."""
    rate_limit_writes: Quota = 12_000
    """The same for all other calls."""
    rate_limit_address: Quota = 240_000
    """How many calls may come from one address in a minute, webhooks aside."""
    rate_limit_webhooks: Quota = 120_000
    """How many webhooks may come from one address in a minute."""
    rate_limit_failures: Quota = 600
    """After how many bad tokens and signatures of one address in a minute more of them are not looked into."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks, with commas between, of proxies whose `X-Forwarded-For` is believed."""
    cors_origins: tuple[str, ...] = ()
    """The origins, with commas between, whose scripts may read our answers in a browser; default: none."""
    hsts_seconds: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0
    """How long browsers are told to come by https alone; 0 where something else ends TLS and says so."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"

    def __post_init__(self) -> None:
        if not self.broker_url:
            msgspec.structs.force_setattr(self, "broker_url", self.redis_url)
        if not self.orders_database_url:
            msgspec.structs.force_setattr(self, "orders_database_url", self.database_url)
        if not self.payments_database_url:
            msgspec.structs.force_setattr(self, "payments_database_url", self.database_url)
        for service in ("orders", "payments"):
            own = getattr(self, f"{service}_database_url")
            name = f"{service}_migration_database_url"
            msgspec.structs.force_setattr(
                self, name, getattr(self, name) or self.migration_database_url or own
            )
            direct = UNSET if self.database_pooler != "none" else own
            name = f"{service}_listen_database_url"
            msgspec.structs.force_setattr(
                self, name, getattr(self, name) or self.listen_database_url or direct
            )
        if self.signing_key_file == Path():
            msgspec.structs.force_setattr(self, "signing_key_file", self.home / "keys.json")
        if self.data_key_file == Path():
            msgspec.structs.force_setattr(self, "data_key_file", self.home / "data-keys.json")

    def runs(self, service: Literal["orders", "payments"]) -> bool:
        """Whether this process runs that service."""
        return self.service in ("all", service)

    def internal_tls(self) -> TlsFiles | None:
        """The files of the internal listener, None where there is none. Raises SettingsInvalid for a part of them."""
        names = ("tls_cert", "tls_key", "tls_client_ca")
        found = {name: path for name in names if (path := getattr(self, name)) is not None}
        if self.internal_port is None:
            if found:
                raise SettingsInvalid(
                    f"{PREFIX}INTERNAL_PORT is not set, the port for which {PREFIX}{next(iter(found)).upper()} is."
                )
            return None
        for name in names:
            if name not in found:
                raise SettingsInvalid(
                    f"{PREFIX}{name.upper()} is not set: the internal listener takes mutual TLS alone."
                )
        return TlsFiles(*found.values())

    def check_back_policy(self) -> CheckBackPolicy:
        """What a payment needs of its order, by caller."""
        rules = [
            CallerRule(one.policy, one.issuer or self.issuer, one.subject) for one in self.check_back_callers
        ]
        return CheckBackPolicy(self.check_back, rules)

    def webhook_addresses(self) -> AddressPolicy:
        """Where our own webhooks may be sent."""
        return AddressPolicy(allowed=self.webhook_allow_private.networks, allow_http=self.webhook_allow_http)

    def money_policy(self) -> MoneyPolicy:
        """What becomes of money that comes late, twice, or not as it should."""
        return MoneyPolicy(
            paid_after_cancel=OnPaidAfterCancel(self.paid_after_cancel),
            paid_twice=OnMoney(self.paid_twice),
            amount_mismatch=OnMoney(self.amount_mismatch),
            paid_without_stock=OnMoney(self.paid_without_stock),
            captured_less=OnCapturedLess(self.captured_less),
        )

    def require(self, *names: str) -> None:
        """Check that these settings, which have no default, are set. Raises SettingsInvalid."""
        for name in names:
            if not getattr(self, name):
                raise SettingsInvalid(f"{PREFIX}{name.upper()} is not set and has no default.")

    def require_broker(self) -> None:
        """Check that Dramatiq's broker is set, under either name. Raises SettingsInvalid."""
        self.require("broker_url" if self.broker_url else "redis_url")

    def require_databases(self) -> tuple[tuple[Secret, Secret], ...]:
        """The distinct databases of the services that this process runs, each as its owner reaches it and as
        the application does. Raises SettingsInvalid."""
        services = ("orders", "payments") if self.service == "all" else (self.service,)
        urls = [
            (getattr(self, f"{service}_migration_database_url"), getattr(self, f"{service}_database_url"))
            for service in services
        ]
        if not all(own for _, own in urls):
            self.require("database_url")
        return tuple(dict.fromkeys(urls))
