"""`payonce endpoints`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

import click

from domain.orders.use_cases.manage_endpoints import ChangeEndpoint
from domain.orders.use_cases.replay_deliveries import ReplayDeliveries
from domain.orders.webhooks.delivery import DeliveryStatus
from domain.orders.webhooks.endpoint import WebhookEndpoint
from domain.shared.errors import NotFound
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.cli.printer import Printer
from entrypoints.operating.audit import operator
from entrypoints.operating.endpoints import outgoing_webhooks
from entrypoints.outgoing_webhooks import OutgoingWebhooks
from entrypoints.settings import Settings


class Show(Printer):
    """Tables on stdout, or with `as_json` one JSON value there."""

    def endpoints(self, found: list[WebhookEndpoint]) -> None:
        if self._as_json:
            self._value({"endpoints": [_fields(one) for one in found]})
            return
        headers = ("endpoint", "url", "events", "state", "failing since")
        self._table(
            "Endpoints",
            headers,
            [
                (
                    *(one.endpoint_id, one.url, " ".join(one.event_types)),
                    *(one.disabled_reason or "enabled", one.failing_since or ""),
                )
                for one in found
            ],
        )

    def told(self, name: str, value: object) -> None:
        if self._as_json:
            self._value({name: value})
        else:
            self._print(f"{name}: {value}")

    def deliveries(self, found: list[dict[str, object]]) -> None:
        if self._as_json:
            self._value({"deliveries": found})
            return
        headers = tuple(found[0]) if found else ("delivery_id",)
        self._table("Deliveries", headers, [tuple(one.values()) for one in found])


def _fields(endpoint: WebhookEndpoint) -> dict[str, object]:
    return {
        "endpoint_id": endpoint.endpoint_id,
        "url": endpoint.url,
        "event_types": list(endpoint.event_types),
        "description": endpoint.description,
        "enabled": endpoint.is_enabled,
        "disabled_reason": endpoint.disabled_reason,
        "failing_since": endpoint.failing_since,
    }


@click.group()
@ready_file_option
@click.pass_context
def command(context: click.Context, ready_file: Path | None) -> None:
    """Addresses of others that are sent our events, and what became of each delivery."""
    context.obj = settings_of(ready_file)


def _run(settings: Settings, work: Callable[[OutgoingWebhooks], Awaitable[None]]) -> None:
    async def main() -> int:
        async with outgoing_webhooks(settings) as webhooks:
            try:
                await work(webhooks)
            except NotFound as error:
                raise click.ClickException(error.detail) from error
        return 0

    exit_with(main())


@command.command(name="list")
@json_option
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """Every endpoint, the oldest first."""

    async def work(webhooks: OutgoingWebhooks) -> None:
        Show(as_json).endpoints(await webhooks.endpoints.all())

    _run(settings, work)


@command.command()
@click.argument("endpoint_id")
@click.option("--status", type=click.Choice([one.value for one in DeliveryStatus]), help="How it stands.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@click.pass_obj
def deliveries(settings: Settings, endpoint_id: str, status: str | None, limit: int, as_json: bool) -> None:
    """An endpoint's deliveries, the newest first."""

    async def work(webhooks: OutgoingWebhooks) -> None:
        found = await webhooks.deliveries.list(
            endpoint_id, status=DeliveryStatus(status) if status else None, after=None, limit=limit
        )
        Show(as_json).deliveries(
            [
                {
                    "delivery_id": one.delivery_id,
                    "event_type": one.event_type,
                    "order_id": one.order_id,
                    "status": one.status,
                    "attempts": len(one.attempts),
                    "last": (one.attempts[-1].error or one.attempts[-1].status) if one.attempts else None,
                    "due_at": one.due_at,
                }
                for one in found
            ]
        )

    _run(settings, work)


@command.command()
@click.argument("endpoint_id")
@click.option(
    "--from", "begin", type=When(), required=True, help="Made since then: a time (UTC), or an age as 2h."
)
@click.option("--to", "end", type=When(), help="Made before then.")
@click.option("--delivered", is_flag=True, help="Also those that were taken.")
@json_option
@click.pass_obj
def replay(
    settings: Settings,
    endpoint_id: str,
    begin: datetime,
    end: datetime | None,
    delivered: bool,
    as_json: bool,
) -> None:
    """Send failed deliveries of an endpoint again, with the same `webhook-id`."""

    async def work(webhooks: OutgoingWebhooks) -> None:
        count = await webhooks.deliveries.replay_all(
            ReplayDeliveries(
                caller=operator(), endpoint_id=endpoint_id, since=begin, until=end, also_delivered=delivered
            )
        )
        Show(as_json).told("replayed", count)

    _run(settings, work)


@command.command()
@click.argument("endpoint_id")
@json_option
@click.pass_obj
def enable(settings: Settings, endpoint_id: str, as_json: bool) -> None:
    """Send to it again: what waits goes on where it was."""
    _switch(settings, endpoint_id, as_json, enabled=True)


@command.command()
@click.argument("endpoint_id")
@json_option
@click.pass_obj
def disable(settings: Settings, endpoint_id: str, as_json: bool) -> None:
    """Send nothing to it; its deliveries are made, and wait."""
    _switch(settings, endpoint_id, as_json, enabled=False)


def _switch(settings: Settings, endpoint_id: str, as_json: bool, *, enabled: bool) -> None:
    async def work(webhooks: OutgoingWebhooks) -> None:
        changed = await webhooks.endpoints.change(
            ChangeEndpoint(caller=operator(), endpoint_id=endpoint_id, enabled=enabled)
        )
        Show(as_json).endpoints([changed])

    _run(settings, work)
