"""`payonce keys`."""

import getpass
import json
import os
import socket
from typing import get_args

import click
import structlog

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import SigningAlgorithm, create_keys, rotate_keys, withdraw_key
from entrypoints.cli import data_rotation
from entrypoints.data_keys import data_keys_of
from entrypoints.environment import load_settings
from entrypoints.logging import configure_logging
from entrypoints.settings import Settings

logger = structlog.stdlib.get_logger(__name__)


@click.group(invoke_without_command=True)
@click.pass_context
@click.option("--rotate", is_flag=True, help="Sign with a new key; tokens of the older ones stay valid.")
@click.option(
    "--algorithm", type=click.Choice(get_args(SigningAlgorithm)), default="EdDSA", show_default=True
)
@click.option("--withdraw", metavar="KID", help="Take an older key out: what it has signed counts no longer.")
@click.option("--json", "as_json", is_flag=True, help="Print the public JWK set.")
def command(
    context: click.Context, rotate: bool, withdraw: str | None, algorithm: SigningAlgorithm, as_json: bool
) -> None:
    """Also makes the key that personal data and secrets are encrypted under in the database."""
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(os.environ)
    configure_logging(settings.log_level, settings.log_format)
    path = settings.signing_key_file
    if withdraw is not None and rotate:
        raise click.UsageError(
            "--rotate and --withdraw are two steps: tokens of the older key end in between."
        )
    if withdraw is not None:
        withdraw_key(path, withdraw)
        _tell("signing_key_withdrawn", withdraw)
    existed = path.exists()
    keys = rotate_keys(path, algorithm) if rotate and existed else create_keys(path, algorithm)
    if rotate or not existed:
        _tell("signing_key_made", keys.key_ids[0])
    if not (settings.data_keys or settings.data_key_file.exists()):
        _tell("data_key_made", create_data_keys(settings.data_key_file).key_ids[0])
    if as_json:
        click.echo(json.dumps(keys.public_jwks(), indent=2))
        return
    click.echo(f"{path} holds {len(keys.key_ids)} key{'s' * (len(keys.key_ids) > 1)}:")
    for position, key_id in enumerate(keys.key_ids):
        click.echo(f"  {key_id}  {'signs' if position == 0 else 'still accepted'}")
    _tell_data_keys(settings)


command.add_command(data_rotation.command)


def _tell_data_keys(settings: Settings) -> None:
    keys = data_keys_of(settings)
    place = "PAYONCE_DATA_KEYS" if settings.data_keys else settings.data_key_file
    click.echo(f"{place} holds {len(keys.key_ids)} key{'s' * (len(keys.key_ids) > 1)} of stored data:")
    for position, key_id in enumerate(keys.key_ids):
        click.echo(f"  {key_id}  {'seals' if position == 0 else 'still opens'}")


def _tell(what: str, key_id: str) -> None:
    """Keys are a file, so that it is our own log that keeps who made and withdrew which."""
    logger.info(what, key_id=key_id, user=getpass.getuser(), host=socket.gethostname())
