"""`payonce ledger`."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from domain.payments.errors import GatewayUnavailable, PayoutNotFound
from domain.payments.ledger import Account
from domain.payments.ledger_ports import EntryFilter
from domain.payments.use_cases.read_ledger import StatementLine
from entrypoints.cli.group import WrongUsage
from entrypoints.cli.ledger_export import FORMATS, ExtraMissing, export_to
from entrypoints.cli.ledger_show import Show
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.composition.ledger import LedgerPart
from entrypoints.operating.audit import operator
from entrypoints.operating.ledger import opened_ledger
from entrypoints.settings import Settings

MOST_LINES = 10_000
"""Of a statement: what is longer is for `export`."""
_ACCOUNTS = click.Choice([account.value for account in Account])
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class Until(When):
    """The same; a day alone means its end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        time = super().convert(value, param, ctx)
        is_day = isinstance(value, str) and _DAY.fullmatch(value) is not None
        return time + timedelta(days=1) if is_day else time


currency_option = click.option("--currency", type=str.upper, help="Of this currency, as EUR.")
since_option = click.option("--since", type=When(), help="Posted since then: a time or day (UTC), or an age.")
until_option = click.option("--until", type=Until(), help="Posted before then, or until the end of that day.")


@click.group()
@ready_file_option
@click.pass_context
def command(context: click.Context, ready_file: Path | None) -> None:
    """Each money fact is an entry by double entry, posted with the payment that it changes and never altered.
    docs/ledger.md has the accounts, and what each fact posts. Amounts in JSON and in exports are minor units; debits are
    positive, credits negative.
    """
    context.obj = settings_of(ready_file)


def _run(
    settings: Settings,
    work: Callable[[LedgerPart], Awaitable[int]],
    *,
    asks_gateway: bool = False,
    reads_payments: bool = False,
) -> None:
    async def main() -> int:
        async with opened_ledger(
            settings, asks_gateway=asks_gateway, reads_payments=reads_payments
        ) as ledger:
            try:
                return await work(ledger)
            except GatewayUnavailable as error:
                raise click.ClickException(
                    f"The gateway does not answer: {error.__cause__ or error}"
                ) from error

    exit_with(main())


@command.command()
@click.option("--at", type=Until(), help="As it was then, or at the end of that day.")
@currency_option
@click.option("--account", type=_ACCOUNTS, help="Of this account.")
@json_option
@click.pass_obj
def balance(
    settings: Settings, at: datetime | None, currency: str | None, account: str | None, as_json: bool
) -> None:
    """What is on each account, for each gateway account and currency apart."""

    async def work(ledger: LedgerPart) -> int:
        wanted = Account(account) if account else None
        Show(as_json).balances(await ledger.read.balances(before=at, account=wanted, currency=currency), at)
        return 0

    _run(settings, work)


@command.command()
@click.argument("account", type=_ACCOUNTS)
@since_option
@until_option
@click.option("--order", "order_id", help="What was posted for this order.")
@click.option("--payment", "payment_id", help="What was posted for this payment.")
@currency_option
@json_option
@click.pass_obj
def statement(
    settings: Settings,
    account: str,
    since: datetime | None,
    until: datetime | None,
    order_id: str | None,
    payment_id: str | None,
    currency: str | None,
    as_json: bool,
) -> None:
    """The postings of an account, oldest first, with its balance after each: of the first 10,000."""

    async def work(ledger: LedgerPart) -> int:
        wanted = EntryFilter(
            account=Account(account),
            order_id=order_id,
            payment_id=payment_id,
            currency=currency,
            since=since,
            until=until,
        )
        lines: list[StatementLine] = []
        async for line in ledger.read.statement(Account(account), wanted):
            if len(lines) == MOST_LINES:
                click.echo(f"Only the first {MOST_LINES} postings are shown; `export` has all.", err=True)
                break
            lines.append(line)
        Show(as_json).statement(account, lines)
        return 0

    _run(settings, work)


@command.command()
@since_option
@until_option
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="csv", show_default=True)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The file to write, complete or not at all; CSV goes to stdout without it.",
)
@click.pass_obj
def export(
    settings: Settings, since: datetime | None, until: datetime | None, format_: str, output: Path | None
) -> None:
    """Every posting of the time as one row, oldest first, in little memory however many there are.

    Parquet and Arrow need the extra `payonce[arrow]`, and a file.
    """
    if format_ != "csv" and output is None:
        raise WrongUsage(f"--format {format_} needs --output FILE.")

    async def work(ledger: LedgerPart) -> int:
        entries = ledger.read.entries(EntryFilter(since=since, until=until))
        try:
            rows = await export_to(output, format_, entries)
        except ExtraMissing as error:
            raise WrongUsage(str(error)) from error
        click.echo(f"{rows} postings.", err=True)
        return 0

    _run(settings, work)


@command.command(name="import")
@click.option("--since", type=When(), help="Read everything since then again; what is known stays as it is.")
@json_option
@click.pass_obj
def import_(settings: Settings, since: datetime | None, as_json: bool) -> None:
    """Read the gateway's balance transactions and post its fees and payouts, as a relay does by itself."""

    async def work(ledger: LedgerPart) -> int:
        Show(as_json).imported(await ledger.import_balance(since=since))
        return 0

    _run(settings, work, asks_gateway=True)


@command.command()
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@json_option
@click.pass_obj
def payouts(settings: Settings, limit: int, as_json: bool) -> None:
    """The newest payouts of each gateway account."""

    async def work(ledger: LedgerPart) -> int:
        Show(as_json).payouts(await ledger.report_payout.list(limit=limit))
        return 0

    _run(settings, work, asks_gateway=True)


@command.command()
@click.argument("payout_id")
@json_option
@click.pass_obj
def payout(settings: Settings, payout_id: str, as_json: bool) -> None:
    """What a payout is made of: each movement with its fee and its order, and whether they sum up to it.

    Ends with exit code 1 where they do not, or where the ledger has not posted all of them.
    """

    async def work(ledger: LedgerPart) -> int:
        await ledger.import_balance()
        try:
            report = await ledger.report_payout(payout_id)
        except PayoutNotFound:
            click.echo(f"No gateway account has a payout {payout_id}.", err=True)
            return 1
        Show(as_json).payout(report)
        return 0 if report.ties else 1

    _run(settings, work, asks_gateway=True)


@command.command()
@json_option
@click.pass_obj
def verify(settings: Settings, as_json: bool) -> None:
    """Import what is new, then prove that every entry sums to zero, that every payment's money is posted, that
    each movement at the gateway is explained, and that clearing is what the gateway holds.

    Ends with exit code 1 where something differs. Money that moves meanwhile may differ for a moment.
    """

    async def work(ledger: LedgerPart) -> int:
        await ledger.import_balance()
        report = await ledger.verify()
        Show(as_json).report(report)
        return 0 if report.is_right else 1

    _run(settings, work, asks_gateway=True)


@command.command()
@json_option
@click.pass_obj
def backfill(settings: Settings, as_json: bool) -> None:
    """Post the money of payments from before there was a ledger, once: after an upgrade from such a release."""

    async def work(ledger: LedgerPart) -> int:
        Show(as_json).backfilled(await ledger.backfill(operator()))
        return 0

    _run(settings, work, reads_payments=True)
