"""How `payonce outbox` prints."""

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import click
import msgspec

from entrypoints.cli.printer import Printer
from entrypoints.operating.shadow import ShadowedOrder
from outbox.status import (
    ConsumerStatus,
    DeadGroup,
    EventPage,
    LaneStatus,
    ListedEvent,
    LogStatus,
    Replayed,
    Retried,
)


class Show(Printer):
    """Tables on stdout, or with `as_json` one JSON value there; progress goes to stderr."""

    def __init__(self, as_json: bool):
        super().__init__(as_json)
        self._replayed: dict[str, dict[str, int | None]] = {}

    def status(
        self,
        logs: Sequence[LogStatus],
        consumers: Sequence[ConsumerStatus],
        found: Sequence[str],
        *,
        all_lanes: bool,
    ) -> None:
        if self._as_json:
            self._value({"logs": logs, "consumers": consumers, "alarms": found})
            return
        self._table(
            "Publishers",
            (
                *("log", "publisher", "lane", " unpublished", " oldest"),
                *(" published", " published/s", " appended/s"),
            ),
            [row for log in logs for row in _publisher_rows(log, all_lanes=all_lanes)],
        )
        self._table(
            "Consumers",
            (
                *("consumer", "topic", " lag", " oldest"),
                *(" unreceived", " waiting", " due", " parked", " forked"),
            ),
            [_consumer_row(c) for c in consumers],
        )
        self._table(
            "Anti-entropy",
            (
                *("consumer", " compared up to", " gaps", " last round", " took"),
                *(" compared", " missing", " sent again"),
            ),
            [_window_row(c) for c in consumers],
        )
        for sentence in found:
            self._print(f"[red]✗[/] {_plain(sentence)}")
        if not found:
            self._print("[green]✓[/] nothing to look at")

    def events(self, page: EventPage) -> None:
        if self._as_json:
            # Not through camel(): a payload's keys are its own.
            value = {"events": [_event(one) for one in page.events], "nextAfter": page.next_after}
            click.echo(json.dumps(msgspec.to_builtins(value), indent=2))
            return
        rows = [
            (
                one.position,
                time(one.created_at),
                one.event.type,
                one.event.stream,
                one.event.sequence,
                one.event.id,
            )
            for one in page.events
        ]
        self._table("Events", (" position", "made at", "type", "stream", " number", "id"), rows)
        if page.next_after is not None:
            self._print(f"more: --after {page.next_after}")

    def dead(self, groups: Sequence[DeadGroup]) -> None:
        if self._as_json:
            self._value({"groups": groups})
            return
        if not groups:
            self._print("[green]✓[/] nothing was given up")
        for group in groups:
            self._print(f"[red]✗[/] [bold]{group.consumer}[/]: {_plain(group.cause)}")
            self._print(f"  {group.events} event(s) of {group.streams} stream(s){_between(group)}")
            self._print(f"  recorded as: {_plain(group.example)}")
            if group.event_ids:
                self._print(f"  events: {', '.join(str(i) for i in group.event_ids)}{_more(group.events)}")
            self._print(f"  streams: {_plain(', '.join(group.stream_names))}{_more(group.streams)}")

    def retried(self, retried: Retried) -> None:
        if self._as_json:
            self._value(retried)
            return
        self._print(f"{retried.resumed} go on and are tried within a second")
        for what in retried.refused:
            self._print(
                f"[red]✗[/] {_plain(what)} cannot: nothing of it is parked, or two events claim to be next (skip one)"
            )

    def skipped(self, event_id: UUID, is_skipped: bool) -> None:
        if self._as_json:
            self._value({"event": event_id, "skipped": is_skipped})
        elif is_skipped:
            self._print(f"[green]✓[/] event {event_id} is left out; what waited for it goes on")
        else:
            self._print(f"[red]✗[/] no failed or parked event {event_id} is held")

    def replaying(self, consumer: str, done: Replayed) -> None:
        click.echo(f"{consumer}: {done.events} event(s), up to position {done.position}", err=True)

    def replayed(self, consumer: str, done: Replayed | None, *, is_cut: bool) -> None:
        next_after = done.position if done and is_cut else None
        self._replayed[consumer] = {"events": done.events if done else 0, "nextAfter": next_after}

    def end_of_replay(self) -> None:
        if self._as_json:
            self._value(self._replayed)
            return
        for consumer, done in self._replayed.items():
            more = (
                f"; go on with --consumer {consumer} --after {done['nextAfter']}" if done["nextAfter"] else ""
            )
            self._print(f"[green]✓[/] {done['events']} event(s) published again to {consumer}{more}")

    def shadowing(self, orders: int) -> None:
        if orders % 100 == 0:
            click.echo(f"{orders} order(s) compared", err=True)

    def shadowed(self, orders: int, differing: Sequence[ShadowedOrder]) -> None:
        if self._as_json:
            self._value({"orders": orders, "differing": differing})
            return
        rows: list[tuple[object, ...]] = [
            (order.order_id, difference.field, difference.now, difference.replayed, _note(order))
            for order in differing
            for difference in order.differences
        ]
        rows += [(order.order_id, order.problem, None, None, None) for order in differing if order.problem]
        if rows:
            self._table(
                "Orders that differ from their events", ("order", "field", "now", "replayed", ""), rows
            )
        mark = "[red]✗[/]" if differing else "[green]✓[/]"
        self._print(f"{mark} {orders} order(s) replayed, {len(differing)} differ; nothing was changed")


def _publisher_rows(log: LogStatus, *, all_lanes: bool) -> list[tuple[object, ...]]:
    """One row for each publisher, then one for each lane that has something to tell."""
    rows: list[tuple[object, ...]] = []
    by_publisher: dict[str, list[LaneStatus]] = {}
    for lane in log.lanes:
        by_publisher.setdefault(lane.publisher, []).append(lane)
    for publisher, lanes in by_publisher.items():
        oldest = max((lane.oldest_seconds for lane in lanes if lane.oldest_seconds is not None), default=None)
        unpublished = sum((lane.unpublished for lane in lanes[1:]), lanes[0].unpublished)
        published = sum(lane.published_total for lane in lanes)
        per_second = sum(lane.published_per_second for lane in lanes)
        rows.append(
            (
                log.schema,
                publisher,
                "all",
                unpublished,
                age(oldest),
                published,
                f"{per_second:.1f}",
                f"{log.appended_per_second:.1f}",
            )
        )
        rows += [
            (
                "",
                "",
                lane.lane,
                lane.unpublished,
                age(lane.oldest_seconds),
                lane.published_total,
                f"{lane.published_per_second:.1f}",
                "",
            )
            for lane in lanes
            if all_lanes or lane.unpublished.number
        ]
    return rows


def _consumer_row(status: ConsumerStatus) -> tuple[object, ...]:
    held = (status.unreceived, status.waiting, status.due, status.parked, status.forked)
    return (status.consumer, status.topic, status.lag, age(status.lag_seconds), *held)


def _window_row(status: ConsumerStatus) -> tuple[object, ...]:
    window, last = status.window, status.window.last_round
    edge = f"{age(window.edge_seconds)} ago" if window.edge_seconds is not None else "nothing yet"
    if last is None:
        return (status.consumer, edge, window.gaps, "never")
    return (
        status.consumer,
        edge,
        window.gaps,
        f"{age(last.ended_seconds)} ago",
        f"{last.took_seconds * 1000:.0f} ms",
        f"{last.compared} of {last.total_compared}",
        f"{last.missing} of {last.total_missing}",
        f"{last.published} of {last.total_published}",
    )


def age(seconds: float | None) -> str:
    """A time span in its two largest units; – for none."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def time(moment: datetime | None) -> str:
    return "–" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _event(one: ListedEvent) -> dict[str, object]:
    event = one.event
    return {
        "position": one.position,
        "lane": one.lane,
        "createdAt": one.created_at,
        "id": event.id,
        "topic": event.topic,
        "stream": event.stream,
        "sequence": event.sequence,
        "type": event.type,
        "headers": dict(event.headers),
        "payload": json.loads(event.payload),
    }


def _between(group: DeadGroup) -> str:
    if group.first_at is None:
        return ""
    if group.first_at == group.last_at:
        return f", at {time(group.first_at)}"
    return f", from {time(group.first_at)} to {time(group.last_at)}"


def _more(count: int) -> str:
    return ", …" if count > 3 else ""


def _note(order: ShadowedOrder) -> str:
    return f"{order.unapplied} event(s) not applied yet" if order.unapplied else ""


def _plain(text: str) -> str:
    """Safe to print where rich looks for markup."""
    return text.replace("[", r"\[")
