"""Whether this process lives, whether it can work, and the keys that it signs with."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from litestar import Request, get
from litestar.response.base import ASGIResponse

from adapters.postgres.readiness import NotReady
from entrypoints.bootstrap import Check, Container
from entrypoints.http.answers import JSON, respond, result
from entrypoints.http.container import container_of
from entrypoints.http.operations import Operation, route

CHECK_SECONDS = 2.0


class Alive(msgspec.Struct, frozen=True):
    status: Literal["alive"]


class CheckAnswer(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    reason: str | None
    """What is missing, or worth knowing of what is there; null where nothing is."""


class BooksAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """How far the books of orders, payments and gateway are from agreeing. It takes no process out of service."""

    drift_seconds: float
    """Age of the oldest open disagreement; 0 where there is none."""
    open_findings: int
    completed_at: dict[str, datetime]
    """When each of the continuous comparisons was last completed."""


class Readiness(msgspec.Struct, frozen=True):
    status: Literal["ready", "not_ready"]
    checks: list[CheckAnswer]
    reconciliation: BooksAnswer | None = None
    """Null where it cannot be told now."""


LIVE = Operation(
    operation_id="getLiveness",
    tag="Health",
    summary="Whether the process answers",
    answer=Alive,
    answer_example=Alive("alive"),
)
READY = Operation(
    operation_id="getReadiness",
    tag="Health",
    summary="Whether everything that the process needs is there",
    answer=Readiness,
    answer_example=Readiness(
        "ready",
        [CheckAnswer("broker", True, None)],
        BooksAnswer(0.0, 0, {"orders": datetime(2026, 3, 1, 12, tzinfo=UTC)}),
    ),
    other_answers={503: Readiness("not_ready", [CheckAnswer("broker", False, "ConnectionError")])},
)
KEYS = Operation(
    operation_id="getKeys",
    tag="Health",
    summary="The public keys of our signatures (RFC 7517)",
    answer=dict[str, Any],
    answer_example={"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "…", "x": "…", "use": "sig"}]},
)


@get("/livez", **route(LIVE))
async def livez() -> ASGIResponse:
    return respond(result(Alive("alive")))


@get("/readyz", **route(READY))
async def readyz(request: Request[Any, Any, Any]) -> ASGIResponse:
    books = asyncio.create_task(_books(container_of(request.app)))
    answers = await check_all(container_of(request.app).checks)
    ready = all(answer.ready for answer in answers)
    readiness = Readiness("ready" if ready else "not_ready", answers, await books)
    return respond(result(readiness, status=200 if ready else 503), media_type=JSON)


async def check_all(checks: Mapping[str, Check]) -> list[CheckAnswer]:
    """What each check says, side by side."""
    return await asyncio.gather(*(_answer(name, check) for name, check in checks.items()))


async def _answer(name: str, check: Check) -> CheckAnswer:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            remark = await check()
    except TimeoutError:
        return CheckAnswer(name, False, f"no answer within {CHECK_SECONDS:g} s")
    except NotReady as error:
        return CheckAnswer(name, False, str(error))
    except Exception as error:  # noqa: BLE001 - answered: its class; the text may hold a password
        return CheckAnswer(name, False, type(error).__name__)
    return CheckAnswer(name, True, remark)


async def _books(container: Container) -> BooksAnswer | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            measured = await container.measure()
    except Exception:  # noqa: BLE001 - answered by null; the check of that database says what is wrong
        return None
    return BooksAnswer(measured.drift_seconds, measured.open_findings, dict(measured.completed_at))


@get("/.well-known/jwks.json", **route(KEYS))
async def jwks(request: Request[Any, Any, Any]) -> ASGIResponse:
    return respond(result(container_of(request.app).public_jwks()))


ROUTES = [livez, readyz, jwks]
