"""The mail that a message becomes: plain text and HTML of the same words, with headers that nobody can inject into.

The words of each kind are in `templates/<kind>.txt`: `subject`, `heading`, `button` and paragraphs. `layout.txt` and
`layout.html` put them around the order.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.mail.formats import card, date, money, plain
from adapters.mail.shop import ORDER_ID, Shop
from domain.orders.cancellation import CHECKOUT_EXPIRED
from domain.orders.messages import CustomerMessage, CustomerUnreachable, MessageKind
from domain.orders.order import Order
from domain.shared.money import Currencies, Currency

LONGEST_NAME = 80
LONGEST_LINE_NAME = 120
MOST_LINES = 50
# RFC 5321, section 4.5.3.1, and RFC 6531: a dot-string of any script, no quoted-string.
_LOCAL_PART = re.compile(r"[^\s\x00-\x20\x7f-\x9f()<>\[\]:;,\"\\@]+")
_LONGEST_LOCAL_PART = 64


@dataclass(frozen=True, slots=True)
class Line:
    quantity: int
    name: str
    amount: str


@dataclass(slots=True)
class Letters:
    """Writes mails. Its templates are read once."""

    shop: Shop
    currencies: Currencies
    now: Callable[[], datetime]
    _text: Environment = field(init=False, repr=False)
    _html: Environment = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._text, self._html = _environment(autoescape=False), _environment(autoescape=True)

    def write(self, message: CustomerMessage) -> EmailMessage:
        """The mail to this customer, with the same id each time. Raises CustomerUnreachable."""
        order = message.order
        values = self._values(message)
        words: Any = self._text.get_template(f"{message.kind.lower()}.txt").make_module(values)
        paragraphs = [part.strip() for part in str(words).split("\n\n") if part.strip()]
        values |= {name: getattr(words, name) for name in ("subject", "heading", "button")}
        values["paragraphs"] = paragraphs
        customer_name = (order.customer and order.customer.name) or ""
        mail = EmailMessage(policy=SMTP)
        mail["From"] = Address(plain(self.shop.name, LONGEST_NAME), addr_spec=self.shop.sender)
        mail["To"] = _recipient(plain(customer_name, LONGEST_NAME), message.email)
        mail["Subject"] = words.subject
        mail["Date"] = self.now()
        mail["Message-ID"] = f"<{message.message_id}@{self.shop.sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic reply to it
        mail.set_content(self._text.get_template("layout.txt").render(values))
        mail.add_alternative(self._html.get_template("layout.html").render(values), subtype="html")
        return mail

    def _values(self, message: CustomerMessage) -> dict[str, Any]:
        """What the templates may speak of; every text that came from outside is one cut line."""
        order = message.order
        currency = self.currencies.find(order.currency) or Currency(order.currency, 2)
        payment = order.latest_payment

        def amount(minor: int) -> str:
            return money(minor, currency)

        return {
            "shop": plain(self.shop.name, LONGEST_NAME),
            "name": plain((order.customer and order.customer.name) or "", LONGEST_NAME),
            "order_id": order.order_id,
            "ordered_on": date(order.created_at),
            "money": amount,
            "total": order.total_amount,
            "paid": order.amount_paid,
            "refunded": order.amount_refunded,
            "refund": message.amount or order.amount_refunded,
            # Of several payments nobody says here which one an amount is of.
            "card": card(payment.method) if payment and len(order.payments) == 1 else None,
            "is_expired": order.cancellation is not None and order.cancellation.reason == CHECKOUT_EXPIRED,
            "link": self._link(message),
            "lines": [
                Line(line.quantity, plain(line.name, LONGEST_LINE_NAME), amount(line.subtotal_amount))
                for line in order.lines[:MOST_LINES]
            ],
            "more_lines": max(0, len(order.lines) - MOST_LINES),
            "sums": [(name, amount(value)) for name, value in _sums(order)],
        }

    def _link(self, message: CustomerMessage) -> str | None:
        """Where the customer can do what the message asks for."""
        payment = message.order.latest_payment
        if message.kind is MessageKind.ACTION_NEEDED and payment and payment.next_action:
            bank = payment.next_action.redirect_url
            if bank and bank.startswith(("https://", "http://")):
                return bank
        if self.shop.order_url is None:
            return None
        return self.shop.order_url.replace(ORDER_ID, quote(message.order.order_id, safe=""))


def _sums(order: Order) -> list[tuple[str, int]]:
    """What is under the lines; what is nothing is left out, but for the total."""
    parts = [
        ("Discount", -order.discount_amount),
        ("Tax", order.tax_amount),
        ("Shipping", order.shipping_amount),
    ]
    shown = [("Subtotal", order.subtotal_amount), *((name, value) for name, value in parts if value)]
    rest = [("Paid", order.amount_paid), ("Refunded", order.amount_refunded)]
    return [
        *(shown if len(shown) > 1 else []),
        ("Total", order.total_amount),
        *((name, value) for name, value in rest if value),
    ]


def _recipient(name: str, email: str) -> Address:
    """Raises CustomerUnreachable where no mail server could take this for an address."""
    local, _, domain = email.rpartition("@")
    if _LOCAL_PART.fullmatch(local) is None or len(local.encode()) > _LONGEST_LOCAL_PART:
        raise CustomerUnreachable("this is no e-mail address: its part before the @")
    try:
        ascii_domain = domain.encode("idna").decode()
    except UnicodeError:
        ascii_domain = ""
    if re.fullmatch(r"[A-Za-z0-9.-]+", ascii_domain) is None:
        raise CustomerUnreachable("this is no e-mail address: its part behind the @")
    return Address(name, local, ascii_domain)


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
