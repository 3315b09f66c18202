"""Customers are told by mail, handed to one SMTP server.

At least once with a stable `Message-ID`: where the connection breaks before the server's last word is
read, nobody knows whether it took the mail, so it is sent again.
"""

import asyncio
import re
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

import aiosmtplib

from adapters.mail.letters import Letters
from domain.orders.messages import CustomerMessage, CustomerUnreachable

_ADDRESS = re.compile(r"\S*@\S*")
_LONGEST_ANSWER = 300


class MailDeferred(Exception):
    """The mail server does not take this mail now; it may later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """`tls` from the first byte; else STARTTLS where the server has it, and in any case before a password is told."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_seconds: float = 10.0
    """How long the server may take for each of its answers."""


@dataclass(frozen=True, slots=True)
class SmtpNotifier:
    """Opens a connection for each mail: they are few, and a broken one then fails nothing else."""

    server: SmtpServer
    letters: Letters
    trusted: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)
    """By which certificate authorities the server's certificate is checked."""

    async def tell(self, message: CustomerMessage) -> None:
        """Raises CustomerUnreachable where the server refuses this address or this mail for good.

        Anything else it raises (MailDeferred, an SMTPException, an OSError) may be over later.
        """
        mail = self.letters.write(message)
        try:
            async with connection_to(self.server, self.letters.shop.sender, self.trusted) as connection:
                await hand_over(connection, mail)
        except aiosmtplib.SMTPRecipientsRefused as refusal:
            raise _refused(refusal.recipients[0]) from None  # its text names the customer
        except aiosmtplib.SMTPDataError as refusal:
            raise _refused(refusal) from None


def connection_to(server: SmtpServer, sender: str, trusted: ssl.SSLContext) -> aiosmtplib.SMTP:
    """A connection for one mail that comes from `sender`, to be entered."""
    starts_tls = None if server.password is None else True  # None: where the server has it
    return aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        username=server.username,
        password=server.password,
        timeout=server.timeout_seconds,
        use_tls=server.tls,
        start_tls=False if server.tls else starts_tls,
        tls_context=trusted,
        # Else the machine's name is looked up in the DNS each time.
        local_hostname=sender.rpartition("@")[2],
    )


async def hand_over(connection: aiosmtplib.SMTP, mail: EmailMessage) -> None:
    try:
        await connection.send_message(mail)
    except aiosmtplib.SMTPNotSupported:
        raise CustomerUnreachable(
            "the mail server takes no address with letters beyond ASCII (RFC 6531)"
        ) from None
    except asyncio.CancelledError:
        connection.close()  # else its farewell would wait for a server that has fallen silent
        raise


def _refused(refusal: aiosmtplib.SMTPResponseException) -> CustomerUnreachable | MailDeferred:
    """What the server said, without addresses: it is kept with the dead letter, and logged."""
    said = _ADDRESS.sub("<address>", f"{refusal.code} {' '.join(refusal.message.split())}")[:_LONGEST_ANSWER]
    return CustomerUnreachable(said) if refusal.code >= 500 else MailDeferred(said)
