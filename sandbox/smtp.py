"""The mailbox's way in: an SMTP server that takes mail for everybody and sends none on."""

import asyncio

from aiosmtpd.smtp import SMTP, Envelope, Session

from sandbox.chaos import ChaosMonkey
from sandbox.mailbox import Mailbox

UNKNOWN = "unknown"
"""What stands before the @ of an address that there is no mailbox for."""
_MAX_MAIL_BYTES = 1024 * 1024


class MailServer:
    def __init__(self, mailbox: Mailbox, chaos: ChaosMonkey) -> None:
        self._mailbox = mailbox
        self._chaos = chaos

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Raises OSError where the port cannot be used."""
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: SMTP(
                self,
                loop=loop,
                hostname="sandbox",
                ident="Payonce sandbox",
                data_size_limit=_MAX_MAIL_BYTES,
                enable_SMTPUTF8=True,
            ),
            host,
            port,
        )

    # What aiosmtpd calls: https://aiosmtpd.aio-libs.org/en/latest/handlers.html

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.partition("@")[0].lower() == UNKNOWN:
            return f"550 5.1.1 <{address}>: there is no such mailbox"
        if self._chaos.defers_mail():
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        self._mailbox.keep(envelope.rcpt_tos, content if isinstance(content, bytes) else b"")
        return "250 2.0.0 kept"
