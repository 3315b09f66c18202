"""`payonce up`."""

import asyncio
import os
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from entrypoints.cli.checklist import Checklist
from entrypoints.cli.running import INTERRUPTED, run_system
from entrypoints.environment import load_settings
from entrypoints.local.ready import READY_TOKENS, Ready
from entrypoints.local.supervisor import ProgramFailed
from entrypoints.local.system import System, SystemOptions


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where data, keys and logs are kept (default: PAYONCE_HOME, else .payonce).",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The API's port; 0 takes a free one (default: 8000)."
)
@click.option(
    "--sandbox-port",
    type=click.IntRange(0, 65535),
    default=12111,
    show_default=True,
    help="The sandbox gateway's port; 0 takes a free one.",
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write addresses, tokens and process ids there once all is ready.",
)
def command(
    home: Path | None, port: int | None, sandbox_port: int, workers: int, ready_file: Path | None
) -> None:
    """PostgreSQL and Valkey come along unless PAYONCE_DATABASE_URL or PAYONCE_REDIS_URL names others."""
    settings = load_settings({**os.environ, "PAYONCE_HOME": str(home)} if home else os.environ)
    options = SystemOptions(
        home=settings.home,
        port=settings.port if port is None else port,
        sandbox_port=sandbox_port,
        workers=workers,
        ready_file=ready_file.absolute() if ready_file else None,
    )
    console = Console()
    system = System(options, settings, Checklist(console))

    async def work() -> int:
        show_ready(console, await system.start())
        await asyncio.Event().wait()
        return 0

    try:
        code = asyncio.run(run_system(system, work))
    except ProgramFailed as failed:
        raise start_failed(failed) from failed
    if code != INTERRUPTED:  # Ctrl-C is how this command ends
        sys.exit(code)


def start_failed(failed: ProgramFailed) -> click.ClickException:
    """The failure of a start in words, with the end of the log that tells why."""
    return click.ClickException(f"{failed}\n{failed.tail}".rstrip())


def show_ready(console: Console, ready: Ready) -> None:
    console.print()
    for name, url in (
        ("API", ready.api_url),
        ("API reference", f"{ready.api_url}/schema"),
        ("Console", f"{ready.console_url} (sign in with the operator's token)"),
        ("Sandbox gateway", ready.sandbox_url),
        ("Mailbox", ready.mailbox_url),
    ):
        console.print(f"{name:<17} {url}", soft_wrap=True)
    console.print("\nReady tokens (24 h), for `Authorization: Bearer …`:", highlight=False)
    for name, token in ready.tokens.items():
        subject, scopes = READY_TOKENS[name]
        console.print(
            f"[bold]{name}[/] [dim]sub {subject} · {' '.join(scopes)}[/]", soft_wrap=True, highlight=False
        )
        console.print(escape(token), soft_wrap=True, highlight=False)
    console.print("\nCtrl-C ends everything; data stays for the next start.", highlight=False)
