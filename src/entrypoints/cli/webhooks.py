"""`payonce webhooks`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import click

from adapters.system.clock import SystemClock
from domain.payments.use_cases.replay_webhook import NotReplayed
from domain.payments.webhook import StoredWebhook, WebhookFilter, WebhookOutcome
from entrypoints.cli.group import WrongUsage
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.cli.webhooks_show import Show
from entrypoints.operating.audit import operator
from entrypoints.operating.webhooks import KeptWebhooks, kept_webhooks
from entrypoints.settings import Settings

PAGE = 200
_KEPT = [outcome.value for outcome in WebhookOutcome if outcome is not WebhookOutcome.REPEATED]
_UNSOLVED = (*NotReplayed, WebhookOutcome.UNREADABLE)


@click.group()
@ready_file_option
@click.pass_context
def command(context: click.Context, ready_file: Path | None) -> None:
    """Every webhook is kept with what became of it: APPLIED, NOTHING_NEW (the payment knew), WAITING (for a
    payment that is not known yet), IGNORED (nothing that payments follow), UNREADABLE (of a form that this
    version does not know).

    At night: `list --outcome UNREADABLE`, and `types` for those of an unknown type. After a new version or a
    repair, `replay` processes what is kept again; what had its effect has none again.
    """
    context.obj = settings_of(ready_file)


def _filters(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--to", "end", type=When(), help="Received before then."),
        click.option(
            "--from", "begin", type=When(), help="Received since then: a time (UTC), or an age as 2h."
        ),
        click.option("--payment", "payment_id", help="Of this payment."),
        click.option("--outcome", type=click.Choice(_KEPT), help="What became of it."),
        click.option("--type", "type_", help="Of this type, as payment_intent.succeeded."),
    ):
        function = option(function)
    return function


def _filter(
    type_: str | None,
    outcome: str | None,
    payment_id: str | None,
    begin: datetime | None,
    end: datetime | None,
    *,
    is_known: bool | None = None,
) -> WebhookFilter:
    return WebhookFilter(
        type=type_,
        outcome=WebhookOutcome(outcome) if outcome else None,
        payment_id=payment_id,
        is_known=is_known,
        begin=begin,
        end=end,
    )


def _run(settings: Settings, work: Callable[[KeptWebhooks], Awaitable[int]]) -> None:
    async def main() -> int:
        async with kept_webhooks(settings) as kept:
            return await work(kept)

    exit_with(main())


@command.command(name="list")
@_filters
@click.option("--unknown", is_flag=True, help="Of a type that this version has never heard of.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    type_: str | None,
    outcome: str | None,
    payment_id: str | None,
    begin: datetime | None,
    end: datetime | None,
    unknown: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Kept webhooks, the newest first."""
    wanted = _filter(type_, outcome, payment_id, begin, end, is_known=False if unknown else None)

    async def work(kept: KeptWebhooks) -> int:
        async with kept.unit_of_work() as uow:
            found = await uow.webhooks.find(wanted, newest_first=True, after=None, limit=limit)
        Show(as_json).webhooks(found)
        return 0

    _run(settings, work)


@command.command()
@click.option("--from", "begin", type=When(), help="Received since then; default: a day ago.")
@json_option
@click.pass_obj
def types(settings: Settings, begin: datetime | None, as_json: bool) -> None:
    """How many of each type came, the unknown ones first: those the gateway could leave out, or we should learn."""
    since = begin or SystemClock().now() - timedelta(days=1)

    async def work(kept: KeptWebhooks) -> int:
        async with kept.unit_of_work() as uow:
            Show(as_json).types(await uow.webhooks.count_types(begin=since))
        return 0

    _run(settings, work)


@command.command()
@click.argument("event_id")
@click.option("--gateway", default="stripe", show_default=True, help="The account that sent it.")
@json_option
@click.pass_obj
def show(settings: Settings, event_id: str, gateway: str, as_json: bool) -> None:
    """One webhook with its body, which may hold personal data. Ends with exit code 1 where none has this id."""

    async def work(kept: KeptWebhooks) -> int:
        async with kept.unit_of_work() as uow:
            webhook = await uow.webhooks.get(gateway, event_id)
        Show(as_json).webhook(event_id, webhook)
        return 0 if webhook else 1

    _run(settings, work)


@command.command()
@click.argument("event_ids", nargs=-1)
@_filters
@click.option("--gateway", default="stripe", show_default=True, help="The account that sent the named ones.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@json_option
@click.pass_obj
def replay(
    settings: Settings,
    event_ids: tuple[str, ...],
    type_: str | None,
    outcome: str | None,
    payment_id: str | None,
    begin: datetime | None,
    end: datetime | None,
    gateway: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """Process kept webhooks again, the oldest first: the named ones, or all that the options choose.

    It does no harm: what is known is NOTHING_NEW. Where a report may be out of date the gateway is asked, with
    the PAYONCE_STRIPE_… settings. Ends with exit code 1 where one could not be processed.
    """
    wanted = _filter(type_, outcome, payment_id, begin, end)
    if bool(event_ids) == (wanted != WebhookFilter()):
        raise WrongUsage("Say which: event ids, or options as --from, --outcome WAITING, --payment.")
    printer = Show(as_json)

    async def work(kept: KeptWebhooks) -> int:
        unsolved, count, caller = 0, 0, operator()
        named = ((gateway, event_id) for event_id in event_ids)
        for account, event_id in [*named] or [key async for key in _chosen(kept, wanted, limit)]:
            became = await kept.replay(caller, account, event_id)
            printer.replayed(event_id, became)
            count += 1
            unsolved += became in _UNSOLVED
        printer.end_of_replay(count, unsolved)
        return 1 if unsolved else 0

    _run(settings, work)


async def _chosen(
    kept: KeptWebhooks, wanted: WebhookFilter, limit: int | None
) -> AsyncIterator[tuple[str, str]]:
    """Their accounts and ids, the oldest first; all are read before the first changes its outcome."""
    after: tuple[datetime, str] | None = None
    found: list[StoredWebhook] = []
    count = 0
    while after is None or len(found) == PAGE:
        async with kept.unit_of_work() as uow:
            found = list(await uow.webhooks.find(wanted, newest_first=False, after=after, limit=PAGE))
        for webhook in found:
            if limit is not None and count == limit:
                return
            count += 1
            yield webhook.gateway, webhook.event_id
        if not found:
            return
        after = found[-1].received_at, found[-1].event_id
