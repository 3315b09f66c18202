"""How customers and operators are told: by mail where the settings name a mail server, else in the log."""

from urllib.parse import unquote, urlsplit

from adapters.mail.letters import Letters
from adapters.mail.operators import MailOperatorNotifier
from adapters.mail.shop import Shop
from adapters.mail.smtp import SmtpNotifier, SmtpServer
from adapters.notifications.log import LogCustomerNotifier, LogOperatorNotifier
from domain.orders.ports import CustomerNotifier
from domain.reconciliation.summary import OperatorNotifier
from domain.shared.money import Currencies
from domain.shared.system import Clock
from entrypoints.settings import Settings

# RFC 6409 and RFC 8314: where mail servers take mail from programs, with STARTTLS and with TLS.
SUBMISSION_PORT = 587
SUBMISSIONS_PORT = 465


def build_customer_notifier(settings: Settings, currencies: Currencies, clock: Clock) -> CustomerNotifier:
    if not settings.smtp_url or settings.mail_from is None:
        return LogCustomerNotifier()
    shop = Shop(name=settings.shop_name, sender=settings.mail_from, order_url=settings.shop_url)
    return SmtpNotifier(
        server_of(settings.smtp_url.reveal(), settings.smtp_timeout_seconds),
        Letters(shop, currencies, clock.now),
    )


def build_operator_notifier(settings: Settings, clock: Clock) -> OperatorNotifier:
    if not settings.smtp_url or settings.mail_from is None or settings.operator_mail is None:
        return LogOperatorNotifier()
    return MailOperatorNotifier(
        server_of(settings.smtp_url.reveal(), settings.smtp_timeout_seconds),
        Shop(name=settings.shop_name, sender=settings.mail_from),
        settings.operator_mail,
        clock.now,
    )


def server_of(url: str, timeout_seconds: float) -> SmtpServer:
    """The server at a checked address; what would break it in a user's name or password is percent-encoded there."""
    parts = urlsplit(url)
    tls = parts.scheme == "smtps"
    return SmtpServer(
        host=parts.hostname or "",
        port=parts.port or (SUBMISSIONS_PORT if tls else SUBMISSION_PORT),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        timeout_seconds=timeout_seconds,
    )
