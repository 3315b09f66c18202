"""The operators' daily summary, as a plain mail by the same server as the customers'."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from adapters.mail.shop import Shop
from adapters.mail.smtp import SmtpServer, connection_to, hand_over
from domain.reconciliation.summary import DaySummary


@dataclass(frozen=True, slots=True)
class MailOperatorNotifier:
    """Writes to `address`. A refusal is raised as it is: who set the address must hear of it in the log."""

    server: SmtpServer
    shop: Shop
    address: str
    now: Callable[[], datetime]
    trusted: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    async def tell(self, summary: DaySummary) -> None:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address(self.shop.name, addr_spec=self.shop.sender)
        mail["To"] = Address(addr_spec=self.address)
        mail["Subject"] = summary.subject
        mail["Date"] = self.now()
        mail["Message-ID"] = f"<{summary.message_id}@{self.shop.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic reply to it
        mail.set_content("\n".join(summary.lines()) + "\n")
        async with connection_to(self.server, self.shop.sender, self.trusted) as connection:
            await hand_over(connection, mail)
