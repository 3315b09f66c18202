"""`payonce audit`."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from adapters.security.audit_heads import HeadInvalid, read_head
from adapters.security.keys import KeyFile, KeySource, read_public_keys
from domain.shared.audit import AuditFilter, AuditReader
from domain.shared.audit_chain import Head, check_chain
from domain.shared.audit_trail import AuditTrail
from entrypoints.cli.audit_show import Show
from entrypoints.cli.group import WrongUsage
from entrypoints.cli.operators import When, exit_with, json_option, ready_file_option, settings_of
from entrypoints.operating.audit import SERVICES, audit_logs
from entrypoints.settings import Settings

_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@click.group()
@ready_file_option
@click.pass_context
def command(context: click.Context, ready_file: Path | None) -> None:
    """Each service keeps an audit log of what people and services do with authority: refunds and their approval,
    what operators change, captures and cancellations of others' money. It is only ever added to.
    """
    context.obj = settings_of(ready_file)


class KnownHead(click.ParamType[Head]):
    """POSITION:HASH, as `verify` prints it."""

    name = "POSITION:HASH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        if isinstance(value, Head):
            return value
        match = _HEAD.fullmatch(value)
        if match is None:
            self.fail(f"{value!r} is not of the form POSITION:HASH with 64 hexadecimal digits.", param, ctx)
        return Head(int(match[1]), bytes.fromhex(match[2]))


service_option = click.option(
    "--service", type=click.Choice([*SERVICES, "both"]), default="both", show_default=True, help="Whose log."
)


@command.command()
@service_option
@click.option(
    "--expect", multiple=True, type=KnownHead(), help="A head that was seen before; needs --service."
)
@click.option(
    "--anchor", "anchors", multiple=True, metavar="JWS", help="A head as the relay's log has it, signed."
)
@json_option
@click.pass_obj
def verify(
    settings: Settings, service: str, expect: tuple[Head, ...], anchors: tuple[str, ...], as_json: bool
) -> None:
    """Follow the chain of hashes from the first entry to the last.

    A changed, removed, inserted or reordered entry is named by its number. That entries were cut off at the
    end, or everything written anew, shows only against a head that was kept elsewhere: --expect what an
    earlier run printed, or --anchor what the relay's log says every ten minutes. Ends with exit code 1 where
    something is wrong.
    """
    if expect and service == "both":
        raise WrongUsage("--expect is a head of one log: say which with --service.")
    known: dict[str, list[Head]] = defaultdict(list)
    known[service] += expect
    for name, head in _anchored(settings, anchors):
        known[name].append(head)
    show = Show(as_json)

    async def work() -> int:
        async with audit_logs(settings) as logs:
            checks = {
                name: await check_chain(log, known[name]) for name, log in _chosen(logs, service).items()
            }
        show.checks(checks, compared={name for name in checks if known[name]})
        return 0 if all(check.is_sound for check in checks.values()) else 1

    exit_with(work())


@command.command(name="list")
@service_option
@click.option("--object", "object_id", metavar="ID", help="About this order, payment, refund, endpoint …")
@click.option("--subject", help="Done by this caller.")
@click.option("--since", type=When(), help="Done since then: a time (UTC), or an age as 2h.")
@click.option("--until", type=When(), help="Done before then.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@json_option
@click.pass_obj
def list_(
    settings: Settings,
    service: str,
    object_id: str | None,
    subject: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """Entries, the newest first."""
    wanted = AuditFilter(object_id=object_id, subject=subject, since=since, until=until)

    async def work() -> int:
        async with audit_logs(settings) as logs:
            told = await AuditTrail(_chosen(logs, service)).find(wanted, limit=limit)
        Show(as_json).entries(told)
        return 0

    exit_with(work())


def _chosen(logs: Mapping[str, AuditReader], service: str) -> Mapping[str, AuditReader]:
    if service == "both":
        return logs
    if service not in logs:
        raise WrongUsage(f"The settings name no database of the service {service}.")
    return {service: logs[service]}


def _anchored(settings: Settings, anchors: Sequence[str]) -> list[tuple[str, Head]]:
    """The heads in signed statements. Raises WrongUsage, and KeysInvalid where we have no keys to look with."""
    if not anchors:
        return []
    sources: list[KeySource] = [KeyFile(settings.signing_key_file)]
    if settings.jwks:
        sources.append(read_public_keys(settings.jwks))
    try:
        heads = [read_head(anchor, sources) for anchor in anchors]
    except HeadInvalid as error:
        raise WrongUsage(f"--anchor is no head of an audit log that we signed: {error}.") from error
    return [(head.service, Head(head.position, bytes.fromhex(head.hash))) for head in heads]
