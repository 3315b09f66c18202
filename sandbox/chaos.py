"""Faults on request: `POST /_sandbox/chaos`. The same seed and the same requests meet the same faults."""

import random
from typing import Annotated

import msgspec
from msgspec import Meta

from sandbox.clock import Clock

Rate = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0, le=600_000)]
_REORDER_WINDOW_SECONDS = 0.25


class WebhookChaos(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`drop` loses a delivery for good; `duplicate` makes two; `reorder` lets later ones overtake."""

    duplicate: Rate = 0.0
    drop: Rate = 0.0
    reorder: bool = False
    delay_ms_max: Milliseconds = 0.0


class ApiChaos(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`timeout_after_success` does the work and never answers; `error500` is half before the work, half after."""

    timeout_after_success: Rate = 0.0
    error500: Rate = 0.0
    latency_ms: Milliseconds = 0.0


class MailChaos(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    """`defer` puts a mail off: the mailbox answers 451."""

    defer: Rate = 0.0


class Chaos(msgspec.Struct, rename="camel", forbid_unknown_fields=True, frozen=True):
    seed: int = 0
    webhooks: WebhookChaos = WebhookChaos()
    api: ApiChaos = ApiChaos()
    mail: MailChaos = MailChaos()


class RequestFaults(msgspec.Struct, frozen=True):
    """What befalls one API request."""

    latency_seconds: float = 0.0
    error_before: bool = False
    error_after: bool = False
    hang: bool = False


class ChaosMonkey:
    """Draws each fault from the seed and a running number, so concurrency does not change the series."""

    def __init__(self, clock: Clock, chaos: Chaos) -> None:
        self.clock = clock
        self.set(chaos)

    def set(self, chaos: Chaos) -> None:
        self.chaos = chaos
        self._requests = 0
        self._deliveries = 0
        self._mails = 0
        self._last_delay_end = 0.0

    def request_faults(self, writes: bool) -> RequestFaults:
        """`writes` is false for a GET, which has no work to lose: only errors and latency befall it."""
        api = self.chaos.api
        self._requests += 1
        draw = random.Random(f"{self.chaos.seed}:api:{self._requests}")
        failed, after, hang = draw.random(), draw.random(), draw.random()
        error = failed < api.error500
        return RequestFaults(
            latency_seconds=api.latency_ms / 1000,
            error_before=error and (after < 0.5 or not writes),
            error_after=error and after >= 0.5 and writes,
            hang=writes and hang < api.timeout_after_success,
        )

    def delivery_delays(self) -> list[float]:
        """Seconds after which to send each copy of the next delivery; none where it is dropped."""
        webhooks = self.chaos.webhooks
        self._deliveries += 1
        draw = random.Random(f"{self.chaos.seed}:webhook:{self._deliveries}")
        dropped, doubled = draw.random() < webhooks.drop, draw.random() < webhooks.duplicate
        delays = [self._delay(draw), self._delay(draw)]
        if dropped:
            return []
        return delays if doubled else delays[:1]

    def defers_mail(self) -> bool:
        """Whether the next mail is put off."""
        self._mails += 1
        draw = random.Random(f"{self.chaos.seed}:mail:{self._mails}")
        return draw.random() < self.chaos.mail.defer

    def _delay(self, draw: random.Random) -> float:
        webhooks = self.chaos.webhooks
        delay = draw.random() * webhooks.delay_ms_max / 1000
        if webhooks.reorder:
            return delay + draw.random() * _REORDER_WINDOW_SECONDS
        if webhooks.delay_ms_max == 0:
            return 0.0
        # Without `reorder` a delay holds up those behind it instead of being overtaken.
        now = self.clock.now()
        self._last_delay_end = max(self._last_delay_end, now + delay)
        return self._last_delay_end - now
