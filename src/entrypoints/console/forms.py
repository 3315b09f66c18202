"""What pages send back: checked to be of this session, parsed strictly, done once however often it is sent."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.response.base import ASGIResponse

from domain.shared.callers import Caller
from domain.shared.idempotency import Answer, IdempotencyStore
from entrypoints.console.session import is_form_token
from entrypoints.http.bodies import card_data_forbidden, malformed, read_body
from entrypoints.http.card_data import contains_card_number
from entrypoints.http.faults import find_faults
from entrypoints.http.idempotency import Run, answer_once, new_request_id
from entrypoints.http.problems import Fault, Problem, ProblemBody

ConsoleRequest = Request[Caller, Any, Any]
T = TypeVar("T", bound=msgspec.Struct)

MEDIA_TYPE = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 40
_KEY = 26
"""The length of the ids that forms are given as their keys."""


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """`key` is the form's own: the same form sent twice has the same one."""

    value: T
    key: str
    canonical: bytes
    secret: str = field(default="", repr=False)
    """What is no part of what is asked for: a token."""


class NoFields(msgspec.Struct, forbid_unknown_fields=True):
    """A form that has nothing to say but that it was sent."""


async def read_form(request: ConsoleRequest, schema: type[T], *, secret: str | None = None) -> Form[T]:
    """The form as `schema` has it, but for the field `secret`; a field that was left empty is absent.

    Raises Problem: 403 `form_token_invalid` for a form that no page of this session made; 413, 415 and 400 for
    what is wrong with it.
    """
    values = await read_fields(request)
    if not is_form_token(request, values.pop("formToken", "")):
        raise Problem(
            403,
            "form_token_invalid",
            "The form was made for another session. Go back, load the page again and repeat what you did.",
        )
    key = values.pop("key", "")
    if len(key) != _KEY or not (key.isascii() and key.isalnum()):
        raise malformed("form", [Fault("key", "This is not a key of ours.")])
    hidden = values.pop(secret, "").strip() if secret else ""
    filled = {name: value for name, value in values.items() if value}
    try:
        value = msgspec.convert(filled, schema, strict=False)
    except msgspec.ValidationError as error:
        faults = find_faults(filled, schema, strict=False) or [Fault("", str(error))]
        raise malformed("form", faults) from error
    return Form(value, key, msgspec.json.encode(filled, order="sorted"), hidden)


async def read_fields(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a form, each once. Raises Problem 413, 415 and 400."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise Problem(415, "media_type_unsupported", f"The form must be {MEDIA_TYPE}.")
    body = await read_body(request)
    if len(body) > MAX_FORM_BYTES:
        raise Problem(413, "body_too_large", "The form is too large.")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise malformed("form", [Fault("", "It cannot be read.")]) from error
    values = dict(pairs)
    if len(values) != len(pairs):
        raise malformed("form", [Fault("", "A field is given twice.")])
    for text in (*values, *values.values()):
        if "\x00" in text:
            raise malformed("form", [Fault("", "The character U+0000 is not allowed.")])
        if contains_card_number(text):
            raise card_data_forbidden()
    return values


async def do_once(
    request: ConsoleRequest, store: IdempotencyStore, form: Form[Any], run: Run
) -> ASGIResponse:
    """Do what the form asks, once, and lead to the page that `run` names. Raises Problem."""
    answer, _ = await answer_once(
        request, store, f"console-{form.key}", new_request_id(request), form.canonical, run
    )
    if answer.status >= 400:  # a refusal, kept as the API has it
        problem = msgspec.json.decode(answer.body, type=ProblemBody)
        raise Problem(problem.status, problem.code, problem.detail, errors=problem.errors or ())
    return ASGIResponse(status_code=answer.status, headers=list(answer.headers))


def see(path: str, done: str) -> Answer:
    """Lead to this page, which then says what was done: `done` is one of `pages.DONE`."""
    return Answer(303, b"", (("Location", f"{path}?done={done}"), ("Cache-Control", "no-store")))
