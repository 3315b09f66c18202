"""`payonce outbox`."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from uuid import UUID

import click

from adapters.cloudevents.payment_events import EventUnreadable
from adapters.dramatiq.publisher import DramatiqPublisher
from domain.orders.money_policy import MoneyPolicy
from domain.shared.timeline import stamp
from entrypoints.bootstrap import make_broker_of
from entrypoints.cli.group import WrongUsage
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.cli.outbox_show import Show
from entrypoints.operating.audit import note_replay, noting, operator
from entrypoints.operating.logs import CONSUMERS, LOGS, Operating, operating
from entrypoints.operating.shadow import shadow
from entrypoints.settings import Settings
from entrypoints.worker.subscriptions import ORDERS
from outbox import PublishFailed, Selection
from outbox.status import ConsumerStatus, LogStatus, alarms

PAGE = 500


@click.group()
@ready_file_option
@click.pass_context
def command(context: click.Context, ready_file: Path | None) -> None:
    """There are two logs: payments (followed by the consumer `orders`) and orders (followed by `effects`).

    At night: `status` says what is wrong, `dead` what was given up and why. Then `retry` once the cause is
    gone, or `skip` what will never work. `replay` sends again what somebody may have lost; it does no harm.
    """
    context.obj = settings_of(ready_file)


def _consumer(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--consumer", type=click.Choice(list(CONSUMERS)), required=required, help="Whose events."
    )


def _run(settings: Settings, work: Callable[[Operating], Awaitable[int]]) -> None:
    """Do the work on the databases of these settings, and exit with its code."""

    async def main() -> int:
        async with operating(settings) as databases:
            return await work(databases)

    try:
        exit_with(main())
    except (PublishFailed, EventUnreadable) as error:
        raise click.ClickException(str(error)) from error


@command.command()
@click.option("--check", is_flag=True, help="End with exit code 1 where a person should look.")
@click.option("--lanes", is_flag=True, help="Show every lane, not only those with unpublished events.")
@json_option
@click.pass_obj
def status(settings: Settings, check: bool, lanes: bool, as_json: bool) -> None:
    """How far publishers, consumers and anti-entropy are, and what is wrong."""

    async def work(databases: Operating) -> int:
        logs: list[LogStatus] = []
        consumers: list[ConsumerStatus] = []
        found: list[str] = []
        for log in databases.logs.values():
            of_log = [await log.consumer_status(name) for name in log.consumers]
            logs.append(await log.log_status())
            consumers += of_log
            found += alarms(logs[-1], of_log)
        Show(as_json).status(logs, consumers, found, all_lanes=lanes)
        return 1 if check and found else 0

    _run(settings, work)


@command.command(name="list")
@click.option("--log", type=click.Choice(LOGS), default="payments", show_default=True)
@click.option("--stream", help="Only of this stream: a payment's id, or an order's for effects.")
@click.option("--type", "type_", help="Only of this type, as PaymentSucceeded.")
@click.option("--after", type=click.IntRange(min=0), help="From this position on; default: the newest.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    log: str,
    stream: str | None,
    type_: str | None,
    after: int | None,
    limit: int,
    as_json: bool,
) -> None:
    """Events of a log, with their payloads in --json."""

    async def work(databases: Operating) -> int:
        page = await databases.logs[log].events(stream=stream, type=type_, after=after, limit=limit)
        Show(as_json).events(page)
        return 0

    _run(settings, work)


@command.command()
@_consumer(required=False)
@json_option
@click.pass_obj
def dead(settings: Settings, consumer: str | None, as_json: bool) -> None:
    """What was given up, grouped by cause; ids and numbers in a cause are written as #."""

    async def work(databases: Operating) -> int:
        names = [consumer] if consumer else list(CONSUMERS)
        groups = [group for name in names for group in await databases.logs[CONSUMERS[name].log].dead(name)]
        Show(as_json).dead(groups)
        return 0

    _run(settings, work)


@command.command()
@_consumer(required=True)
@click.option("--stream", help="Let this stream go on.")
@click.option("--event", "event_id", type=click.UUID, help="Let this event (and its stream) go on.")
@click.option("--cause", help="Let everything go on that was given up for this cause, as `dead` names it.")
@json_option
@click.pass_obj
def retry(
    settings: Settings,
    consumer: str,
    stream: str | None,
    event_id: UUID | None,
    cause: str | None,
    as_json: bool,
) -> None:
    """Try again what was given up, within a second, with all its attempts anew.

    Ends with exit code 1 where something named cannot go on: nothing of it is parked, or two events claim
    the same number, of which one must be skipped first.
    """

    async def work(databases: Operating) -> int:
        log = databases.logs[CONSUMERS[consumer].log]
        try:
            retried = await log.retry(
                consumer,
                stream=stream,
                event_id=event_id,
                cause=cause,
                note=noting(operator(), "outbox.retry", consumer),
            )
        except ValueError as error:
            raise WrongUsage(f"{str(error).capitalize()}: --stream, --event, --cause.") from error
        Show(as_json).retried(retried)
        return 1 if retried.refused else 0

    _run(settings, work)


@command.command()
@_consumer(required=True)
@click.argument("event_id", type=click.UUID)
@click.option("--reason", required=True, help="Why; kept with the event.")
@json_option
@click.pass_obj
def skip(settings: Settings, consumer: str, event_id: UUID, reason: str, as_json: bool) -> None:
    """Leave out a failed or parked event for good, so that its stream goes on after it.

    Its effect never happens. Ends with exit code 1 where no such event is held.
    """
    if not reason.strip():
        raise WrongUsage("--reason must say why.")

    async def work(databases: Operating) -> int:
        log, note = (
            databases.logs[CONSUMERS[consumer].log],
            noting(operator(), "outbox.skip", consumer, reason),
        )
        is_skipped = await log.skip(consumer, event_id, reason=reason, note=note)
        Show(as_json).skipped(event_id, is_skipped)
        return 0 if is_skipped else 1

    _run(settings, work)


@command.command()
@click.option("--from", "begin", type=When(), help="Events made since then: a time (UTC), or an age as 2h.")
@click.option("--to", "end", type=When(), help="Events made before then.")
@click.option("--stream", help="Events of this stream.")
@_consumer(required=False)
@click.option("--after", type=click.IntRange(min=0), default=0, help="Go on after this position.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop at the first page that reaches so many.")
@click.option("--shadow", "is_shadow", is_flag=True, help="Change nothing: replay into copies of the orders.")
@json_option
@click.pass_obj
def replay(
    settings: Settings,
    begin: datetime | None,
    end: datetime | None,
    stream: str | None,
    consumer: str | None,
    after: int,
    limit: int | None,
    is_shadow: bool,
    as_json: bool,
) -> None:
    """Publish events again with the same ids, to every consumer of theirs or to one: harmless.

    With --shadow nothing is published or changed: each order that the events speak of is rebuilt in memory
    from all of its payments' events, and compared with what it is; exit code 1 where any differs. What the
    log does not tell of shows as a difference: an order that a client canceled, an event that was skipped.
    """
    if begin is None and stream is None:
        raise WrongUsage("Say which events: --from, --stream, or both.")
    if after and consumer is None:
        raise WrongUsage("--after is a position in one log: --consumer says which.")
    if is_shadow and consumer not in {None, "orders"}:
        raise WrongUsage("--shadow compares orders: it goes with --consumer orders.")

    def selection(topic: str) -> Selection:
        return Selection(topics=[topic], stream=stream, begin=begin, end=end, after=after)

    show = Show(as_json)
    if is_shadow:
        policy = settings.money_policy()
        _run(settings, lambda databases: _shadow(databases, selection(ORDERS.topic), policy, limit, show))
    settings.require_broker()
    names = [consumer] if consumer else list(CONSUMERS)

    async def work(databases: Operating) -> int:
        what = {"from": stamp(begin), "to": stamp(end), "stream": stream, "after": after, "limit": limit}
        for name in names:
            await note_replay(databases.orders, operator(), name, what)
            await _replay(settings, databases, name, selection(CONSUMERS[name].topic), limit, show)
        show.end_of_replay()
        return 0

    _run(settings, work)


async def _replay(
    settings: Settings,
    databases: Operating,
    consumer: str,
    selection: Selection,
    limit: int | None,
    show: Show,
) -> None:
    async with AsyncExitStack() as stack:
        broker = make_broker_of(settings)
        stack.callback(broker.close)
        publisher = DramatiqPublisher(broker, {selection.topics[0]: (consumer,)})
        stack.callback(publisher.close)
        log = databases.logs[CONSUMERS[consumer].log]
        done = None
        async for done in log.replay(publisher, selection, page=min(PAGE, limit or PAGE)):
            show.replaying(consumer, done)
            if limit is not None and done.events >= limit:
                break
        show.replayed(consumer, done, is_cut=limit is not None and done is not None and done.events >= limit)


async def _shadow(
    databases: Operating, selection: Selection, policy: MoneyPolicy, limit: int | None, show: Show
) -> int:
    orders = 0
    differing = []
    async for order in shadow(databases, "orders", selection, policy):
        orders += 1
        show.shadowing(orders)
        if not order.agrees:
            differing.append(order)
        if limit is not None and orders >= limit:
            break
    show.shadowed(orders, differing)
    return 1 if differing else 0
