"""What a running system tells those who want to use it: addresses, tokens, process ids."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec

from adapters.security.keys import KeyFile
from adapters.security.tokens import JwtIssuer
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds

SANDBOX_KEY = "sk_test_payonce"
"""Of the sandbox's account that everything on one machine uses."""

READY_TOKEN_LIFE = timedelta(hours=24)

_CUSTOMER = ("orders:read", "orders:write", "payments:read", "payments:write")
_SERVICE = (*_CUSTOMER, "users:any")
# The ready tokens: name → subject and scopes.
READY_TOKENS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "customer": ("u_1", _CUSTOMER),
    "service": ("service", _SERVICE),
    "refunder": ("refunder", (*_SERVICE, "refunds:create")),
    "approver": ("approver", ("orders:read", "payments:read", "refunds:approve", "users:any")),
    "operator": (
        "operator",
        ("orders:read", "payments:read", "operations:read", "operations:write", "users:any"),
    ),
}


class Ready(msgspec.Struct, frozen=True, rename="camel"):
    """The ready file's content. A process that is not ours (its URL was given) has no id."""

    api_url: str
    console_url: str
    sandbox_url: str
    mailbox_url: str
    database_url: str
    redis_url: str
    tokens: dict[str, str]
    pids: dict[str, int | list[int] | None]
    data_key_file: str
    """Where the keys of stored data are, for commands that look into the databases."""


def ready_tokens(keys: KeyFile, issuer: str, audience: str) -> dict[str, str]:
    """One token for each part that a person plays while trying the system."""
    issue = token_issuer(keys, issuer, audience).issue
    expires = SystemClock().now() + READY_TOKEN_LIFE
    return {name: issue(subject, scopes, expires) for name, (subject, scopes) in READY_TOKENS.items()}


def token_issuer(keys: KeyFile, issuer: str, audience: str) -> JwtIssuer:
    """An issuer on the real clock, for commands."""
    ids = SystemIds()
    return JwtIssuer(
        keys,
        issuer=issuer,
        audience=audience,
        now=SystemClock().now,
        new_token_id=lambda: ids.new("tok"),
    )


def write_ready_file(path: Path, ready: Ready) -> None:
    """Replace the file in one step, readable by its owner alone since it holds tokens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    content = msgspec.json.format(msgspec.json.encode(ready), indent=2)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content + b"\n")
    draft.replace(path)
