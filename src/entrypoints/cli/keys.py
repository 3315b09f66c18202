"""`payonce keys`."""

import json
import os
from typing import get_args

import click

from adapters.security.keys import SigningAlgorithm, create_keys, rotate_keys, withdraw_key
from entrypoints.environment import load_settings


@click.command()
@click.option("--rotate", is_flag=True, help="Sign with a new key; tokens of the older ones stay valid.")
@click.option(
    "--algorithm", type=click.Choice(get_args(SigningAlgorithm)), default="EdDSA", show_default=True
)
@click.option("--withdraw", metavar="KID", help="Take an older key out: what it has signed counts no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print the public JWK set.")
def command(rotate: bool, withdraw: str | None, algorithm: SigningAlgorithm, as_json: bool) -> None:
    path = load_settings(os.environ).signing_key_file
    if withdraw is not None and rotate:
        raise click.UsageError(
            "--rotate and --withdraw are two steps: tokens of the older key end in between."
        )
    if withdraw is not None:
        withdraw_key(path, withdraw)
    existed = path.exists()
    keys = rotate_keys(path, algorithm) if rotate and existed else create_keys(path, algorithm)
    if as_json:
        click.echo(json.dumps(keys.public_jwks(), indent=2))
        return
    click.echo(f"{path} holds {len(keys.key_ids)} key{'s' * (len(keys.key_ids) > 1)}:")
    for position, key_id in enumerate(keys.key_ids):
        click.echo(f"  {key_id}  {'signs' if position == 0 else 'still accepted'}")
