"""How `payonce webhooks` prints."""

import json
from collections import Counter
from collections.abc import Sequence

from domain.payments.use_cases.replay_webhook import NotReplayed
from domain.payments.webhook import StoredWebhook, WebhookOutcome, WebhookTypeCount
from entrypoints.cli.printer import Printer

_IN_WORDS = {
    NotReplayed.NOT_KEPT: "no webhook has this id",
    NotReplayed.BODY_GONE: "its body is gone with the retention time",
    NotReplayed.GATEWAY_UNAVAILABLE: "it may be out of date, and the gateway could not be asked",
    WebhookOutcome.UNREADABLE: "this version cannot read it",
}


class Show(Printer):
    """Tables on stdout, or with `as_json` one JSON value there."""

    def __init__(self, as_json: bool):
        super().__init__(as_json)
        self._replayed: list[dict[str, str]] = []

    def webhooks(self, found: Sequence[StoredWebhook]) -> None:
        if self._as_json:
            self._value({"webhooks": [_fields(webhook) for webhook in found]})
            return
        self._table(
            "Webhooks",
            ("received", "event", "type", "outcome", "payment", "made"),
            [
                (
                    *(f"{one.received_at:%Y-%m-%d %H:%M:%S}", one.event_id, _type(one.type, one.is_known)),
                    *(one.outcome, one.payment_id, f"{one.created_at:%Y-%m-%d %H:%M:%S}"),
                )
                for one in found
            ],
        )

    def types(self, counts: Sequence[WebhookTypeCount]) -> None:
        if self._as_json:
            self._value({"types": counts})
            return
        self._table(
            "Types",
            ("type", " webhooks", "the last"),
            [
                (_type(one.type, one.is_known), one.count, f"{one.last_received_at:%Y-%m-%d %H:%M:%S}")
                for one in counts
            ],
        )

    def webhook(self, event_id: str, webhook: StoredWebhook | None) -> None:
        if self._as_json:
            self._value(
                {"webhook": None if webhook is None else {**_fields(webhook), "body": _body(webhook)}}
            )
        elif webhook is None:
            self._print(f"{event_id}: {_IN_WORDS[NotReplayed.NOT_KEPT]}")
        else:
            for name, value in _fields(webhook).items():
                self._print(f"{name}: {'' if value is None else value}")
            self._print(
                json.dumps(_body(webhook), indent=2, ensure_ascii=False)
                if webhook.body is not None
                else _IN_WORDS[NotReplayed.BODY_GONE]
            )

    def replayed(self, event_id: str, became: WebhookOutcome | NotReplayed) -> None:
        self._replayed.append({"event_id": event_id, "became": became.value})
        if not self._as_json:
            words = _IN_WORDS.get(became)
            self._print(f"{event_id}: {became.value}" + (f" ({words})" if words else ""))

    def end_of_replay(self, count: int, unsolved: int) -> None:
        if self._as_json:
            self._value({"replayed": self._replayed, "unsolved": unsolved})
            return
        outcomes = Counter(one["became"] for one in self._replayed)
        told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
        self._print(f"{count} replayed" + (f": {told}" if told else ""))


def _type(name: str, is_known: bool) -> str:
    return name if is_known else f"{name} (unknown)"


def _fields(webhook: StoredWebhook) -> dict[str, object]:
    return {
        "event_id": webhook.event_id,
        "gateway": webhook.gateway,
        "type": webhook.type,
        "is_known": webhook.is_known,
        "outcome": webhook.outcome,
        "payment_id": webhook.payment_id,
        "gateway_payment_intent_id": webhook.intent_id,
        "created_at": webhook.created_at,
        "received_at": webhook.received_at,
        "is_body_kept": webhook.body is not None,
    }


def _body(webhook: StoredWebhook) -> object:
    return None if webhook.body is None else json.loads(webhook.body)
