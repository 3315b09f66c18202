"""Whoever tells customers: to the right address, with the same id each time, and honest about what failed."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from adapters.mail.letters import Letters as MailLetters
from adapters.mail.shop import Shop
from adapters.mail.smtp import SmtpNotifier, SmtpServer
from adapters.system.currencies import IsoCurrencies
from domain.orders.cart import Customer
from domain.orders.messages import CustomerMessage, CustomerUnreachable, MessageKind
from domain.orders.ports import CustomerNotifier
from tests.support.house import Letters, ManualClock
from tests.support.mail_server import MailServer
from tests.unit.orders.test_order import an_order

ADA = "ada@example.org"


def a_message(message_id: str = "0190-1", email: str = ADA, **changes: object) -> CustomerMessage:
    order = an_order(customer=Customer(name="Ada Lovelace", email=email))
    message = CustomerMessage(
        message_id=message_id, kind=MessageKind.PAYMENT_FAILED, email=email, order=order
    )
    return replace(message, **changes)  # type: ignore[arg-type]


class CustomerNotifierContract(ABC):
    @pytest.fixture
    @abstractmethod
    def notifier(self) -> CustomerNotifier: ...

    @abstractmethod
    def arrived(self) -> list[tuple[str, str]]:
        """The address and the message's id of what arrived, in order."""

    @abstractmethod
    def refuse(self, email: str) -> None:
        """There is no such mailbox."""

    @abstractmethod
    def go_away(self) -> None: ...

    @abstractmethod
    def come_back(self) -> None: ...

    async def test_a_message_arrives_with_its_id_each_time_it_is_sent(
        self, notifier: CustomerNotifier
    ) -> None:
        await notifier.tell(a_message("0190-1"))
        await notifier.tell(a_message("0190-2", "bob@example.org"))
        await notifier.tell(a_message("0190-1"))
        assert self.arrived() == [(ADA, "0190-1"), ("bob@example.org", "0190-2"), (ADA, "0190-1")]

    async def test_who_cannot_be_reached_is_told_apart_and_named_to_nobody(
        self, notifier: CustomerNotifier
    ) -> None:
        self.refuse(ADA)
        with pytest.raises(CustomerUnreachable) as refusal:
            await notifier.tell(a_message())
        assert "ada" not in str(refusal.value)
        assert refusal.value.__cause__ is None
        assert self.arrived() == []

    async def test_what_may_be_over_later_is_another_failure(self, notifier: CustomerNotifier) -> None:
        self.go_away()
        with pytest.raises(Exception) as failure:  # noqa: PT011 - any, but for the one below
            await notifier.tell(a_message())
        assert not isinstance(failure.value, CustomerUnreachable)
        self.come_back()
        await notifier.tell(a_message())
        assert self.arrived() == [(ADA, "0190-1")]


class TestInMemory(CustomerNotifierContract):
    @pytest.fixture
    def notifier(self) -> CustomerNotifier:
        self.letters = Letters()
        return self.letters

    def arrived(self) -> list[tuple[str, str]]:
        return [(message.email, message.message_id) for message in self.letters.sent]

    def refuse(self, email: str) -> None:
        self.letters.refused.add(email)

    def go_away(self) -> None:
        self.letters.away = True

    def come_back(self) -> None:
        self.letters.away = False


class TestOverSmtp(CustomerNotifierContract):
    @pytest.fixture
    async def notifier(self) -> AsyncIterator[CustomerNotifier]:
        self.server = MailServer()
        shop = Shop(name="Tea & Oak", sender="orders@shop.test")
        async with self.server.running():
            server = SmtpServer(host="127.0.0.1", port=self.server.port)
            yield SmtpNotifier(server, MailLetters(shop, IsoCurrencies(), ManualClock().now))

    def arrived(self) -> list[tuple[str, str]]:
        return [
            (taken.recipients[0], taken.mail["Message-ID"].removeprefix("<").removesuffix("@shop.test>"))
            for taken in self.server.taken
        ]

    def refuse(self, email: str) -> None:
        self.server.answers["RCPT"] = "550 5.1.1 <{address}>: no such mailbox"

    def go_away(self) -> None:
        self.server.answers["RCPT"] = "450 4.2.0 {address} greylisted"

    def come_back(self) -> None:
        self.server.answers.clear()
