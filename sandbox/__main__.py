"""`python -m sandbox`: the Stripe-compatible gateway on its own."""

import argparse
from pathlib import Path

from sandbox.server import run


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="sandbox", description="A Stripe-compatible gateway for trying and testing."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=12111)
    parser.add_argument(
        "--data", type=Path, default=Path("sandbox.sqlite3"), help="the SQLite file with its state"
    )
    parser.add_argument("--webhook", metavar="URL", action="append", default=[], help="deliver events there")
    parser.add_argument(
        "--webhook-secret", metavar="SECRET", action="append", default=[], help="sign them with this"
    )
    parser.add_argument(
        "--smtp-port", type=int, metavar="PORT", help="take mails there, shown at /_sandbox/mailbox"
    )
    arguments = parser.parse_args()
    if len(arguments.webhook) != len(arguments.webhook_secret):
        parser.error("each --webhook needs its --webhook-secret")
    webhooks = list(zip(arguments.webhook, arguments.webhook_secret, strict=True))
    run(arguments.host, arguments.port, arguments.data, webhooks, arguments.smtp_port)


if __name__ == "__main__":
    main()
