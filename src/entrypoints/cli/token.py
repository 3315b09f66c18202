"""`payonce token`."""

import json
import os
from datetime import timedelta

import click

from adapters.security.keys import KeyFile
from adapters.system.clock import SystemClock
from entrypoints.environment import load_settings
from entrypoints.local.ready import token_issuer

SCOPES = (
    "orders:read",
    "orders:write",
    "payments:read",
    "payments:write",
    "refunds:create",
    "refunds:approve",
    "operations:read",
    "operations:write",
    "users:any",
)


def _scopes(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    scopes = [scope for value in values for scope in value.replace(",", " ").split()]
    for scope in scopes:
        if scope not in SCOPES:
            raise click.BadParameter(f"{scope!r} is no scope; they are {', '.join(SCOPES)}.")
    return scopes


@click.command()
@click.option("--sub", "subject", required=True, help="Whom the token speaks for: a user's or service's id.")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    callback=_scopes,
    help="What it allows; may be repeated.",
)
@click.option(
    "--ttl", type=click.IntRange(min=1), default=3600, show_default=True, help="Seconds until it expires."
)
@click.option("--order-id", help="Bind the token to this order alone.")
@click.option("--json", "as_json", is_flag=True, help="Print an object with the token and its expiry.")
def command(subject: str, scopes: list[str], ttl: int, order_id: str | None, as_json: bool) -> None:
    settings = load_settings(os.environ)
    issuer = token_issuer(KeyFile(settings.signing_key_file), settings.issuer, settings.audience)
    expires = SystemClock().now() + timedelta(seconds=ttl)
    token = issuer.issue(subject, scopes, expires, order_id=order_id)
    if as_json:
        value = {
            "token": token,
            "sub": subject,
            "scopes": scopes,
            "expires": expires.isoformat(timespec="seconds"),
        }
        click.echo(json.dumps(value))
    else:
        click.echo(token)
