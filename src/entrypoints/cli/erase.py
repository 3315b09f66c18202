"""`payonce erase`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from domain.shared.erasure import Erased, ErasureRefused, Person
from entrypoints.cli.operators import (
    exit_with,
    json_option,
    ready_file_option,
    settings_of,
)
from entrypoints.operating.audit import operator
from entrypoints.operating.erasing import Erasing, erasing
from entrypoints.settings import Settings

REMAINS = (
    "The records of the money, with amounts, times, ids and the last four digits of cards, for as long as the "
    "law asks.",
    "Backups of the databases made before now, until they are thrown away: docs/personal-data.md.",
    "What the gateway keeps of its payments, and what was told to the warehouse and to mail servers.",
)


@click.command()
@click.argument("user_id", required=False)
@click.option(
    "--order", "order_id", metavar="ORDER_ID", help="Of a guest: the order; a guest has no user id."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@ready_file_option
def command(
    user_id: str | None, order_id: str | None, yes: bool, as_json: bool, ready_file: Path | None
) -> None:
    """Names, addresses and whatever else tells who they are is gone for good; the records of their money stay, and
    can still be refunded. Nothing is erased while something of theirs is open: an unpaid checkout, a call to the
    gateway without an answer, a paid order that the warehouse has not accepted. May be repeated at any time.

    Each service erases what it keeps: with databases of their own, run it at both.
    """
    if (user_id is None) == (order_id is None):
        raise click.UsageError("Name a user, or with --order the order of a guest.")
    person = Person(user_id=user_id, order_id=order_id)
    settings = settings_of(ready_file)
    exit_with(_erase(settings, person, sure=yes, as_json=as_json))


async def _erase(settings: Settings, person: Person, *, sure: bool, as_json: bool) -> int:
    caller = operator()
    async with erasing(settings) as made:
        try:
            found = {name: len(await erase.check(person)) for name, erase in made.services.items()}
            if not sure:
                told = " and ".join(f"{count} {name}" for name, count in found.items())
                click.confirm(f"Erase {person.subject} from {told}, for good?", abort=True, err=True)
            erased = {name: await erase(person, caller) for name, erase in made.services.items()}
        except ErasureRefused as refused:
            return _tell_refusal(refused, as_json=as_json)
        return await _tell(settings, made, person, erased, as_json=as_json)


def _tell_refusal(refused: ErasureRefused, *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"erased": False, "obstacles": list(refused.obstacles)}, indent=2))
        return 1
    click.echo("Nothing was erased, for this is still open:", err=True)
    for obstacle in refused.obstacles:
        click.echo(f"  {obstacle}", err=True)
    return 1


async def _tell(
    settings: Settings, made: Erasing, person: Person, erased: Mapping[str, Erased], *, as_json: bool
) -> int:
    deleted = []
    if made.delete_at_gateways is not None and person.user_id is not None:
        deleted = list(await made.delete_at_gateways(person.user_id))
    missing = sorted({"orders", "payments"} - set(erased))
    if as_json:
        told: dict[str, Any] = {
            "erased": True,
            "services": {name: {"records": one.records, **one.parts} for name, one in erased.items()},
            "gatewayCustomers": [
                {"gateway": one.gateway, "id": one.gateway_customer_id, "failure": one.failure}
                for one in deleted
            ],
            "notHere": missing,
            "remains": list(REMAINS),
        }
        click.echo(json.dumps(told, indent=2))
        return 1 if any(one.failure for one in deleted) else 0
    for name, one in erased.items():
        parts = ", ".join(f"{count} {kind}" for kind, count in one.parts.items()) or "nothing new"
        click.echo(f"{name}: {one.records} of theirs; erased {parts}.")
    for gone in deleted:
        became = f"not deleted ({gone.failure}): run it again" if gone.failure else "deleted"
        click.echo(f"{gone.gateway}: the customer {gone.gateway_customer_id} is {became}.")
    for name in missing:
        click.echo(f"The service {name} has its own database: run it there too.")
    click.echo("What remains:")
    for sentence in REMAINS:
        click.echo(f"  {sentence}")
    return 1 if any(one.failure for one in deleted) else 0
