"""Requests and answers, apart from the server that carries them."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import msgspec

Json = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """`headers` by lower-case name."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    body: bytes
    base_url: str

    def secret_key(self) -> str | None:
        """The API key, as Bearer token or as the user of Basic authentication."""
        scheme, _, credentials = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return credentials.strip()
        if scheme.lower() == "basic":
            try:
                return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                return None
        return None


@dataclass(frozen=True)
class Response:
    """One that is held back is sent after that time, if the client still waits."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    held_back_seconds: float = 0.0


def json_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(status, msgspec.json.encode(body), headers=headers or {})
