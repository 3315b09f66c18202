"""`payonce keys rotate-data`."""

import json
from collections import Counter
from pathlib import Path

import click

from adapters.postgres.rotation import DataRotation
from adapters.security.data_keys import add_data_key
from entrypoints.cli.operators import exit_with, json_option, ready_file_option, settings_of
from entrypoints.data_keys import data_keys_of, vault_of_settings
from entrypoints.operating.erasing import service_engines
from entrypoints.settings import Settings

PASSES = 5
TELL_EVERY_ROWS = 10_000


@click.command("rotate-data")
@click.option("--new-key", is_flag=True, help="First put a new key before the others, in the key file.")
@json_option
@ready_file_option
def command(new_key: bool, as_json: bool, ready_file: Path | None) -> None:
    """Seal everything anew under the newest key of stored data, and what an older release left plain.

    Runs beside everything else, in short batches; cut off, run it again. At its end it says which keys
    nothing needs any more. Ends with exit code 1 where a value is left that no key here opens.
    """
    settings = settings_of(ready_file)
    if new_key:
        if settings.data_keys:
            raise click.UsageError(
                "PAYONCE_DATA_KEYS holds the keys: put the new one before the others there."
            )
        add_data_key(settings.data_key_file)
    exit_with(_rotate(settings, as_json=as_json))


async def _rotate(settings: Settings, *, as_json: bool) -> int:
    engines = service_engines(settings, vault_of_settings(settings))
    sealed: Counter[str] = Counter()
    unreadable: set[str] = set()
    try:
        for _ in range(PASSES):
            passed, unreadable = await _pass({name: DataRotation(one, name) for name, one in engines.items()})
            sealed += passed
            if not passed:
                break
    finally:
        for engine in engines.values():
            await engine.dispose()
    newest, *older = data_keys_of(settings).key_ids
    unneeded = older if not passed and not unreadable else []
    if as_json:
        told = {
            "newest": newest,
            "sealed": dict(sealed),
            "unreadable": sorted(unreadable),
            "unneeded": unneeded,
        }
        click.echo(json.dumps(told, indent=2))
        return 1 if unreadable else 0
    for table, count in sorted(sealed.items()):
        click.echo(f"{table}: {count} sealed under {newest}.")
    for row in sorted(unreadable):
        click.echo(f"{row} cannot be opened with the keys here, and stays as it is.", err=True)
    if passed:
        click.echo("Some process still seals under an older key: give it the new one, and run this again.")
    elif unneeded:
        click.echo(
            f"No value needs {', '.join(unneeded)} any more: take it out of the keys, but keep it for backups."
        )
    else:
        click.echo(f"Everything is sealed under {newest}.")
    return 1 if unreadable else 0


async def _pass(rotations: dict[str, DataRotation]) -> tuple["Counter[str]", set[str]]:
    """What was sealed anew, by table, and which rows nobody can open."""
    sealed: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    unreadable: set[str] = set()
    for rotation in rotations.values():
        async for batch in rotation.run():
            if batch.sealed:
                sealed[batch.table] += batch.sealed
            unreadable |= {f"{batch.table} {row}" for row in batch.unreadable}
            before = seen[batch.table]
            seen[batch.table] += batch.rows
            if before // TELL_EVERY_ROWS < seen[batch.table] // TELL_EVERY_ROWS:
                click.echo(f"{batch.table}: {seen[batch.table]:,} rows", err=True)
    return sealed, unreadable
