"""What mails say, in both forms, and what nobody can make them say."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTPUTF8
from html.parser import HTMLParser
from typing import Any

import pytest
from aiosmtplib.email import flatten_message
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mail.formats import money, plain
from adapters.mail.letters import LONGEST_LINE_NAME, Letters
from adapters.mail.shop import Shop
from adapters.system.currencies import CURRENCIES, IsoCurrencies
from adapters.system.ids import SystemIds
from domain.orders.cancellation import CHECKOUT_EXPIRED, Cancellation
from domain.orders.cart import Customer, OrderLine
from domain.orders.messages import CustomerMessage, CustomerUnreachable, MessageKind
from domain.orders.order import Order
from domain.orders.order_payment import OrderPayment
from domain.shared.payment_events import CardMethod, NextAction, NextActionType
from tests.support.house import START, ManualClock
from tests.unit.orders.test_order import an_order

SHOP = Shop(name="Tea & Oak", sender="orders@shop.test", order_url="https://shop.test/orders/{orderId}")
LETTERS = Letters(SHOP, IsoCurrencies(), ManualClock().now)
K = MessageKind
LINES = (
    OrderLine(sku="OAK", name="Oak board", quantity=2, unit_amount=1250, discount_amount=200, tax_amount=317),
    OrderLine(sku="TEA", name="Green tea", quantity=1, unit_amount=450),
)
EXPIRED = Cancellation(requested_at=START, reason=CHECKOUT_EXPIRED, requested_by=None)
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "p"),
    *("table", "caption", "tr", "td", "th"),
}
"""Of a mail without a link."""
SHOWN_ORDER = [
    *("Order ord_1 of March 1, 2026", "2 × Oak board", "€25.00", "1 × Green tea", "€4.50"),
    *("Subtotal", "€29.50", "Discount", "-€2.00", "Tax", "€3.17", "Shipping", "€4.50", "Total", "€35.17"),
]


def an_order_of(captured: int = 0, refunded: int = 0, url: str | None = None, **changes: Any) -> Order:
    payment = OrderPayment(
        payment_id="pay_1",
        gateway_payment_intent_id="pi_1",
        status="SUCCEEDED",
        amount_captured=captured,
        amount_refunded=refunded,
        method=CardMethod("visa", "4242") if captured else None,
        next_action=NextAction(NextActionType.REDIRECT, url),
    )
    fields: dict[str, Any] = {
        "lines": LINES,
        "shipping_amount": 450,
        "customer": Customer(name="Ada Lovelace", email="ada@example.org"),
        "payments": [payment],
        **changes,
    }
    return an_order(**fields)


def write(
    kind: MessageKind,
    order: Order,
    *,
    shop: Shop = SHOP,
    email: str = "ada@example.org",
    amount: int | None = None,
) -> EmailMessage:
    """The mail as it comes out at the other end of a wire."""
    LETTERS.shop = shop
    mail = LETTERS.write(
        CustomerMessage(message_id="0190-1", kind=kind, email=email, order=order, amount=amount)
    )
    read = message_from_bytes(mail.as_bytes(policy=SMTPUTF8), policy=SMTPUTF8)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    return read


class Reader(HTMLParser):
    """What a person reads of a page, its links and its elements."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag not in ("meta", "br"):
            self._open.append(tag)
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self._open and "title" not in self._open:
            self.texts.append(data.strip())


def forms(mail: EmailMessage) -> tuple[str, Reader]:
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert mail.get_content_type() == "multipart/alternative"
    return text.get_content().replace("\r\n", "\n"), Reader(html.get_content())


CASES: list[tuple[MessageKind, Order, int | None, str, list[str], str]] = [
    (
        K.PAID,
        an_order_of(3517),
        None,
        "Payment received for order ord_1",
        ["We have received your payment of €35.17 by Visa ending in 4242.", "Paid"],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.PAID,
        an_order_of(3000, 500),
        None,
        "Payment received for order ord_1",
        ["That is less than the order's total of €35.17", "€5.00 of it has been given back", "Refunded"],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.PAYMENT_FAILED,
        an_order_of(),
        None,
        "Your payment for order ord_1 failed",
        ["Your payment of €35.17 did not go through", "You can try again", "Try again"],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.ACTION_NEEDED,
        an_order_of(url="https://bank.test/3ds?a=1&b=2"),
        None,
        "Please confirm your payment for order ord_1",
        ["Your bank asks you to confirm your payment of €35.17", "Confirm the payment"],
        "https://bank.test/3ds?a=1&b=2",
    ),
    (
        K.ACTION_NEEDED,
        an_order_of(url="javascript:alert(1)"),
        None,
        "Please confirm your payment for order ord_1",
        ["Confirm the payment"],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.REFUNDED,
        an_order_of(3517, 500),
        300,
        "Your refund for order ord_1",
        [
            "We have refunded €3.00 to your Visa ending in 4242, a part of the €35.17",
            "In all, €5.00 has been refunded.",
        ],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.REFUNDED,
        an_order_of(3517, 3517),
        3517,
        "Your refund for order ord_1",
        ["Everything that you paid for this order has now been given back."],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.CANCELED,
        an_order_of(),
        None,
        "Your order ord_1 has been canceled",
        ["Your order has been canceled. Nothing was charged."],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.CANCELED,
        an_order_of(cancellation=EXPIRED),
        None,
        "Your order ord_1 has been canceled",
        ["Your order has been canceled, because it was not paid in time. Nothing was charged."],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.CANCELED,
        an_order_of(3517, 3517),
        None,
        "Your order ord_1 has been canceled",
        ["You had paid €35.17; all of it has been refunded."],
        "https://shop.test/orders/ord_1",
    ),
    (
        K.CANCELED,
        an_order_of(3517),
        None,
        "Your order ord_1 has been canceled",
        ["You had paid €35.17; nothing has been refunded so far."],
        "https://shop.test/orders/ord_1",
    ),
]


@pytest.mark.parametrize(("kind", "order", "amount", "subject", "words", "link"), CASES)
def test_both_forms_say_the_same(
    kind: MessageKind, order: Order, amount: int | None, subject: str, words: list[str], link: str
) -> None:
    mail = write(kind, order, amount=amount)
    text, page = forms(mail)
    shown = " ".join(page.texts)
    assert mail["Subject"] == subject
    for part in ["Hello Ada Lovelace,", *words, *SHOWN_ORDER]:
        assert part in text
        assert part in shown
    assert page.links == [link]
    assert f": {link}\n" in text
    assert "\n\n\n" not in text


@pytest.mark.parametrize("kind", K)
def test_no_subject_is_so_long_that_it_begins_in_a_line_of_its_own(kind: MessageKind) -> None:
    order = an_order_of(order_id=SystemIds().new("ord"))
    LETTERS.shop = SHOP
    mail = LETTERS.write(
        CustomerMessage(message_id="0190-1", kind=kind, email="ada@example.org", order=order)
    )
    assert b"Subject:\r\n" not in flatten_message(mail)


def test_the_headers() -> None:
    mail = write(K.PAID, an_order_of(3517))
    assert str(mail["From"]) == "Tea & Oak <orders@shop.test>"
    assert str(mail["To"]) == "Ada Lovelace <ada@example.org>"
    assert mail["Message-ID"] == "<0190-1@shop.test>"
    assert mail["Date"].datetime == ManualClock().now()
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("kind", K)
def test_a_shop_without_an_address_of_its_orders_gives_no_link(kind: MessageKind) -> None:
    text, page = forms(
        write(kind, an_order_of(), shop=Shop(name="Tea & Oak", sender="orders@shop.test"), amount=1)
    )
    assert page.links == []
    assert "http" not in text
    if kind in (K.PAYMENT_FAILED, K.ACTION_NEEDED):
        assert "Go back to the shop" in text


def test_what_people_typed_is_text_and_never_a_header_or_markup() -> None:
    name = "Ada\r\nBcc: eve@evil.test\r\n\r\n<script>alert(1)</script>\u202e"
    line = OrderLine(sku="A", name="Board\r\n.\r\nMAIL FROM:<x>&<img src=x>", quantity=1, unit_amount=1000)
    customer = Customer(name=name, email="ada@example.org")
    shop = Shop(name="Tea\nX-Evil: 1", sender="orders@shop.test", order_url=SHOP.order_url)
    mail = write(K.PAID, an_order_of(3517, customer=customer, lines=(line,)), shop=shop)
    assert set(mail.keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("MIME-Version", "Content-Type"),
    }
    assert mail["To"].addresses[0].display_name == "Ada Bcc: eve@evil.test <script>alert(1)</script>"
    assert [address.addr_spec for address in mail["To"].addresses] == ["ada@example.org"]
    text, page = forms(mail)
    assert "1 × Board . MAIL FROM:<x>&<img src=x>: €10.00\n" in text
    assert not {"script", "img"} & set(page.elements)
    assert "1 × Board . MAIL FROM:<x>&<img src=x>" in page.texts


@settings(max_examples=150, deadline=None)
@given(name=st.text(max_size=200), goods=st.text(max_size=200), shop=st.text(min_size=1, max_size=200))
def test_any_text_ends_up_as_text(name: str, goods: str, shop: str) -> None:
    line = OrderLine(sku="A", name=goods, quantity=1, unit_amount=3517)
    order = an_order_of(3517, customer=Customer(name=name, email="ada@example.org"), lines=(line,))
    mail = write(K.PAID, order, shop=Shop(name=shop, sender="orders@shop.test"))
    assert len(mail.keys()) == 8
    assert [address.addr_spec for address in mail["To"].addresses] == ["ada@example.org"]
    assert [address.addr_spec for address in mail["From"].addresses] == ["orders@shop.test"]
    text, page = forms(mail)
    assert f"1 × {plain(goods, LONGEST_LINE_NAME)}: €35.17" in text
    assert set(page.elements) == ELEMENTS


def test_long_names_are_cut_and_long_orders_too() -> None:
    lines = tuple(OrderLine(sku=f"S{n}", name="é" * 200, quantity=1, unit_amount=10) for n in range(500))
    order = an_order_of(lines=lines, customer=Customer(name="ß" * 200, email="ada@example.org"))
    mail = write(K.PAYMENT_FAILED, order)
    text, page = forms(mail)
    assert f"Hello {'ß' * 79}…," in text
    assert text.count("é" * 119 + "…") == 50
    assert "and 450 more" in text
    assert "and 450 more" in page.texts
    assert max(len(line) for line in mail.as_bytes().splitlines()) <= 998  # RFC 5322, section 2.1.1


@pytest.mark.parametrize(
    "email",
    [
        *("ada", "@example.org", "ada@", "ada@ex\r\nample.org", "ada\r\nRCPT TO:<x@y>@example.org"),
        *("<ada>@example.org", "ada,eve@example.org", "a b@example.org", "ada@exam ple.org", "ada@[::1]"),
        *(f"{'a' * 65}@example.org", f"ada@{'x' * 64}.org", "ada@..org", "a@b@c\x00.org"),
    ],
)
def test_what_is_no_address_reaches_nobody(email: str) -> None:
    with pytest.raises(CustomerUnreachable) as refusal:
        write(K.PAID, an_order_of(3517), email=email)
    assert "ada" not in str(refusal.value)


@pytest.mark.parametrize(
    ("code", "amount", "shown"),
    [
        ("EUR", 123456, "€1,234.56"),
        ("EUR", -200, "-€2.00"),
        ("JPY", 1200, "¥1,200"),
        ("KWD", 1234, "KWD\u00a01.234"),
        ("IQD", 1234, "IQD\u00a01.234"),  # the CLDR would show no decimals
        ("CHF", 5, "CHF\u00a00.05"),
        ("CAD", 2**53 - 1, "CA$90,071,992,547,409.91"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(code: str, amount: int, shown: str) -> None:
    assert money(amount, CURRENCIES[code]) == shown


def test_every_currency_can_be_shown() -> None:
    for currency in CURRENCIES.values():
        digits = "".join(character for character in money(1234567, currency) if character.isdigit())
        assert digits == "1234567"


def test_one_line_of_what_somebody_typed() -> None:
    assert plain("  a\t\n b\x00c\u2028d  ", 80) == "a b c d"
    assert plain("abcdef", 4) == "abc…"
    assert plain("日本 👩‍🚀", 80) == "日本 👩‍🚀"
