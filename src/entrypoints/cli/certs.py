"""`payonce certs`."""

import json
import os
from pathlib import Path

import click

from adapters.security.certificates import create_certificates, renew_certificates
from adapters.system.clock import SystemClock
from entrypoints.environment import load_settings

FOLDER = "certs"


@click.command()
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Where `certs/` is made.")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A host name or address that the services are reached by, besides localhost; may be repeated.",
)
@click.option("--renew", is_flag=True, help="Replace both certificates by new ones of the same authority.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(home: Path | None, names: tuple[str, ...], renew: bool, as_json: bool) -> None:
    """`certs/ca.pem` is the authority, `certs/orders.pem` and `certs/payments.pem` are its certificates, each
    with its key beside it. Nothing is overwritten; running processes notice what --renew replaces.
    """
    folder = (home or load_settings(os.environ).home) / FOLDER
    make = renew_certificates if renew else create_certificates
    issued = make(folder, names, SystemClock().now())
    if as_json:
        files = {
            one.certificate.stem: {
                "certificate": str(one.certificate),
                "key": str(one.key),
                "expires": one.expires.isoformat(),
            }
            for one in issued
        }
        click.echo(json.dumps({"authority": str(folder / "ca.pem"), "services": files}, indent=2))
        return
    click.echo(f"{folder / 'ca.pem'} is the authority:")
    for one in issued:
        click.echo(f"  {one.certificate}  until {one.expires:%Y-%m-%d}")
