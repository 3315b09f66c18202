"""Answers as bytes: encoded once, whether they are sent, kept for a repetition, or both."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.response.base import ASGIResponse

from domain.shared.idempotency import Answer

_encoder = msgspec.json.Encoder()

JSON = "application/json"
PROBLEM = "application/problem+json"


def result(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer of a call that did what it was asked; `value` is a schema struct."""
    return Answer(status, _encoder.encode(value), tuple((headers or {}).items()))


def nothing() -> Answer:
    """The answer of a call that did what it was asked and has nothing to tell."""
    return Answer(204, b"", ())


def respond(answer: Answer, *, replayed: bool = False, media_type: str | None = None) -> ASGIResponse:
    """Send an answer. No answer may be kept by caches on the way: they are of one caller alone."""
    headers = [*answer.headers, ("Cache-Control", "no-store")]
    if replayed:
        headers.append(("Idempotency-Replayed", "true"))
    return ASGIResponse(
        body=answer.body,
        status_code=answer.status,
        headers=headers,
        media_type=media_type or (PROBLEM if answer.status >= 400 else JSON),
    )
