"""One request's view of one account: reading and writing objects, emitting events, planning ahead."""

import random
from dataclasses import dataclass, field
from typing import Any

import stripe

from sandbox.chaos import ChaosMonkey
from sandbox.errors import ApiError, resource_missing
from sandbox.store import Store, decode, encode

Json = dict[str, Any]

API_VERSION = stripe.api_version
SEARCH_LAG_SECONDS = 60
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIXES = {
    "payment_intent": "pi_",
    "charge": "ch_",
    "refund": "re_",
    "dispute": "du_",
    "event": "evt_",
    "customer": "cus_",
    "payment_method": "pm_",
    "balance_transaction": "txn_",
    "payout": "po_",
    "webhook_endpoint": "we_",
}
_SEARCHED = ("amount", "created", "currency", "customer", "metadata", "status")
# Seeded by the system at start: ids must differ, nothing here needs to be beyond guessing.
_random = random.Random()


def random_text(length: int) -> str:
    return "".join(_random.choices(_ALPHABET, k=length))


@dataclass
class Session:
    """Valid inside one transaction of the store. Times are the sandbox's, in seconds."""

    store: Store
    account: str
    now: int
    chaos: ChaosMonkey
    base_url: str = ""
    request_id: str | None = None
    idempotency_key: str | None = None
    _endpoints: list[Json] | None = field(default=None, repr=False)

    def new_id(self, kind: str) -> str:
        return _PREFIXES[kind] + random_text(24)

    def find(self, kind: str, object_id: str) -> Json | None:
        rows = self.store.rows(
            "SELECT body FROM object WHERE id = ? AND account = ? AND kind = ?", object_id, self.account, kind
        )
        return decode(rows[0][0]) if rows else None

    def get(self, kind: str, object_id: str, param: str = "id") -> Json:
        """The object. Raises ApiError `resource_missing` naming `param`."""
        found = self.find(kind, object_id)
        if found is None:
            raise resource_missing(kind, object_id, param)
        return found

    def children(self, kind: str, parent: str, parent_id: str) -> list[Json]:
        """Oldest first. `parent` is the column `customer`, `payment_intent` or `charge`."""
        rows = self.store.rows(
            f"SELECT body FROM object WHERE {parent} = ? AND kind = ? AND account = ? ORDER BY seq",
            parent_id,
            kind,
            self.account,
        )
        return [decode(row[0]) for row in rows]

    def insert(self, body: Json, hidden: Json | None = None) -> Json:
        self.store.run(
            "INSERT INTO object (id, account, kind, created, customer, payment_intent, charge, type, body, hidden)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            body["id"],
            self.account,
            body["object"],
            body["created"],
            body.get("customer"),
            body.get("payment_intent"),
            body.get("charge") or body.get("source"),
            body.get("type"),
            encode(body),
            encode(hidden or {}),
        )
        self._index(body)
        return body

    def save(self, body: Json) -> Json:
        self.store.run(
            "UPDATE object SET body = ?, customer = ? WHERE id = ?",
            encode(body),
            body.get("customer"),
            body["id"],
        )
        self._index(body)
        return body

    def delete(self, object_id: str) -> None:
        self.store.run("DELETE FROM object WHERE id = ? AND account = ?", object_id, self.account)

    def hidden(self, object_id: str) -> Json:
        rows = self.store.rows("SELECT hidden FROM object WHERE id = ?", object_id)
        return decode(rows[0][0]) if rows else {}

    def hide(self, object_id: str, **changes: Any) -> None:
        """Merge what the API must not show into what is kept about the object."""
        self.store.run(
            "UPDATE object SET hidden = ? WHERE id = ?",
            encode({**self.hidden(object_id), **changes}),
            object_id,
        )

    def later(self, seconds: float, action: str, object_id: str) -> None:
        """Have `sandbox.later` do `action` when the clock has moved on so far."""
        self.store.run(
            "INSERT INTO later (due, account, action, object_id) VALUES (?, ?, ?, ?)",
            self.now + seconds,
            self.account,
            action,
            object_id,
        )

    def later_once(self, due: float, action: str, object_id: str) -> None:
        """The same at a time of the clock, unless it is planned."""
        self.store.run(
            "INSERT OR IGNORE INTO later (due, account, action, object_id) VALUES (?, ?, ?, ?)",
            due,
            self.account,
            action,
            object_id,
        )

    def emit(self, type: str, body: Json, before: Json | None = None) -> None:
        """Record an event and queue it for every endpoint that listens to its type.

        `before`, the object as it was, yields `previous_attributes`.
        """
        endpoints = [one for one in self.endpoints() if listens(one, type)]
        data: Json = {"object": body}
        if before is not None:
            data["previous_attributes"] = {
                name: before[name] for name in before if before[name] != body.get(name)
            }
        event: Json = {
            "id": self.new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": len(endpoints),
            "request": {"id": self.request_id, "idempotency_key": self.idempotency_key},
            "type": type,
        }
        self.insert(event)
        for endpoint in endpoints:
            for delay_seconds in self.chaos.delivery_delays():
                due = self.chaos.clock.now() + delay_seconds
                self.store.run(
                    "INSERT INTO delivery (event, endpoint, first_due, due) VALUES (?, ?, ?, ?)",
                    event["id"],
                    endpoint["id"],
                    due,
                    due,
                )

    def endpoints(self) -> list[Json]:
        if self._endpoints is None:
            rows = self.store.rows(
                "SELECT body FROM object WHERE account = ? AND kind = 'webhook_endpoint'", self.account
            )
            self._endpoints = [decode(row[0]) for row in rows]
        return self._endpoints

    def _index(self, body: Json) -> None:
        """Search sees an intent as it was a minute ago, so each version waits to become visible."""
        if body["object"] != "payment_intent":
            return
        visible_at = self.now + SEARCH_LAG_SECONDS
        document = encode({name: body[name] for name in _SEARCHED})
        newest = self.store.rows(
            "SELECT body FROM searchable WHERE id = ? ORDER BY seq DESC LIMIT 1", body["id"]
        )
        if newest and newest[0][0] == document:
            return
        if newest:
            self.store.run(
                "DELETE FROM searchable WHERE id = ?1 AND seq <"
                " (SELECT max(seq) FROM searchable WHERE id = ?1 AND visible_at <= ?2)",
                body["id"],
                self.now,
            )
        self.store.run(
            "INSERT INTO searchable (id, account, visible_at, body) VALUES (?, ?, ?, ?)",
            body["id"],
            self.account,
            visible_at,
            document,
        )


def listens(endpoint: Json, event_type: str) -> bool:
    if endpoint["status"] != "enabled":
        return False
    return "*" in endpoint["enabled_events"] or event_type in endpoint["enabled_events"]


def merge_metadata(current: dict[str, str], changes: Any) -> dict[str, str]:
    """Stripe merges metadata; an empty value removes its key, an empty whole removes all.

    Limits: https://docs.stripe.com/metadata (50 keys of 40 characters, values of 500).
    """
    if changes is None:
        return current
    if not changes:
        return {}
    merged = {name: value for name, value in {**current, **changes}.items() if value != ""}
    if len(merged) > 50:
        raise ApiError("Metadata can have up to 50 keys.", param="metadata")
    for name, value in merged.items():
        if len(name) > 40 or "[" in name or "]" in name:
            raise ApiError(
                "Metadata keys can have up to 40 characters and no square brackets.", param="metadata"
            )
        if len(value) > 500:
            raise ApiError(
                f"Metadata values can have up to 500 characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value}",
                param=f"metadata[{name}]",
            )
    return merged
