"""Passwords of the embedded servers: loopback is shared with every user of the machine."""

import secrets
from pathlib import Path


def password_in(path: Path) -> str:
    """The password kept in this file, made (readable by its owner alone) on first use."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16), encoding="ascii")
    return path.read_text(encoding="ascii")
