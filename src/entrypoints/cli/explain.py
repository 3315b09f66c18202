"""`payonce explain`."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from domain.orders.errors import OrderNotFound
from entrypoints.cli.explain_show import show_explained
from entrypoints.cli.operators import exit_with, json_option, ready_file_option, settings_of
from entrypoints.http.explain import explain_answer
from entrypoints.operating.explaining import OPERATOR, explaining


@click.command()
@click.argument("order_id")
@ready_file_option
@json_option
def command(order_id: str, ready_file: Path | None, as_json: bool) -> None:
    """Who asked for what, what the gateway was asked and reported, which events there were and when each was
    committed, published and applied, what moved the order by which rule, and what it asked for; causes stand
    before their consequences. Ends with exit code 1 where there is no such order.
    """
    settings = settings_of(ready_file)

    async def work() -> int:
        async with explaining(settings) as explain:
            try:
                explained = await explain(OPERATOR, order_id)
            except OrderNotFound:
                click.echo(f"There is no order {order_id}.", err=True)
                return 1
        answer = explain_answer(explained)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2))
        else:
            show_explained(Console(), answer)
        return 0

    exit_with(work())
