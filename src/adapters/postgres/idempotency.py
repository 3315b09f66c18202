"""Idempotency keys in PostgreSQL; leases and expiry go by the database's clock alone."""

import hashlib
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import (
    DatabaseUnavailable,
    driver_of_pooled,
    lost_connection,
    take_connection,
    vault_of,
)
from adapters.postgres.sealed_columns import ANSWERS
from domain.shared.idempotency import (
    KEEP_DAYS,
    LEASE_SECONDS,
    Answer,
    Beginning,
    Begun,
    InFlight,
    KeyOwner,
    OtherRequest,
    Replay,
)


def idempotency_ddl(schema: str) -> list[str]:
    """The statements that make the table in the (existing) schema, for a migration."""
    return [
        f"""
        CREATE TABLE {schema}.idempotency_key (
            owner bytea NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            request_id text NOT NULL,
            attempt integer NOT NULL DEFAULT 1,
            lease_until timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            status smallint,
            headers jsonb,
            body bytea,
            PRIMARY KEY (owner, key),
            CONSTRAINT answer_is_whole CHECK (num_nulls(status, headers, body) IN (0, 3))
        )
        """,
        f"CREATE INDEX idempotency_key_expires_at ON {schema}.idempotency_key (expires_at)",
    ]


# One statement takes a new key, a forgotten one, or one whose runner has not answered within its
# lease; it returns nothing where the row is somebody else's.
_BEGIN = """
INSERT INTO {table} AS k (owner, key, fingerprint, request_id, lease_until, expires_at)
VALUES ($1, $2, $3, $4, now() + $5::integer * interval '1 second', now() + $6::integer * interval '1 day')
ON CONFLICT (owner, key) DO UPDATE SET
    fingerprint = excluded.fingerprint,
    request_id = CASE WHEN k.expires_at <= now() THEN excluded.request_id ELSE k.request_id END,
    attempt = CASE WHEN k.expires_at <= now() THEN 1 ELSE k.attempt + 1 END,
    lease_until = excluded.lease_until,
    expires_at = excluded.expires_at,
    status = NULL, headers = NULL, body = NULL
WHERE k.expires_at <= now()
   OR (k.status IS NULL AND k.lease_until <= now() AND k.fingerprint = excluded.fingerprint)
RETURNING request_id, attempt
"""

_FIND = """
SELECT fingerprint, status, headers::text, body,
       EXTRACT(EPOCH FROM lease_until - now())::float8 AS lease_seconds
FROM {table} WHERE owner = $1 AND key = $2
"""

# The first answer stands. The expiry counts from it, and a row that was deleted meanwhile stays so.
_FINISH = """
UPDATE {table} SET
    expires_at = CASE WHEN status IS NULL THEN now() + $7::integer * interval '1 day' ELSE expires_at END,
    status = COALESCE(status, $4::smallint),
    headers = COALESCE(headers, $5::text::jsonb),
    body = COALESCE(body, $6::bytea)
WHERE owner = $1 AND key = $2 AND request_id = $3
RETURNING status, headers::text, body
"""

_RELEASE = """
UPDATE {table} SET lease_until = now()
WHERE owner = $1 AND key = $2 AND request_id = $3 AND attempt = $4 AND status IS NULL
"""

_DELETE_EXPIRED = """
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED
))
"""


class PostgresIdempotencyStore:
    """The keys of one service, in the table of its own schema. Every method may raise DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine, schema: str) -> None:
        if schema not in ANSWERS:
            raise ValueError(f"no service has the schema {schema!r}")
        # Every method is one statement, so each is its own transaction without BEGIN and COMMIT
        # around it: two round trips less on every mutating call.
        self._engine = engine
        self._sealed = ANSWERS[schema]
        table = self._sealed.name
        self._begin = _BEGIN.format(table=table)
        self._find = _FIND.format(table=table)
        self._finish = _FINISH.format(table=table)
        self._release = _RELEASE.format(table=table)
        self._delete_expired = _DELETE_EXPIRED.format(table=table)

    async def begin(self, owner: KeyOwner, key: str, fingerprint: bytes, request_id: str) -> Beginning:
        name = _digest(owner), key
        wanted = (*name, fingerprint, request_id, LEASE_SECONDS, KEEP_DAYS)
        while True:
            taken = await self._first(self._begin, *wanted)
            if taken is not None:
                return Begun(taken["request_id"], taken["attempt"])
            row = await self._first(self._find, *name)
            if row is None:
                continue  # it was forgotten between the two statements, so it is free now
            if bytes(row["fingerprint"]) != fingerprint:
                return OtherRequest()
            if row["status"] is not None:
                return Replay(self._answer(name, row))
            return InFlight(max(1, math.ceil(row["lease_seconds"])))

    async def finish(self, owner: KeyOwner, key: str, request_id: str, answer: Answer) -> Answer:
        name = _digest(owner), key
        body = self._sealed.seal(vault_of(self._engine), "body", _row(name), answer.body)
        values = (answer.status, json.dumps(answer.headers), body, KEEP_DAYS)
        row = await self._first(self._finish, *name, request_id, *values)
        return answer if row is None else self._answer(name, row)

    async def release(self, owner: KeyOwner, key: str, begun: Begun) -> None:
        await self._first(self._release, _digest(owner), key, begun.request_id, begun.attempt)

    async def delete_expired(self, limit: int) -> int:
        async with self._connected() as driver:
            return int((await driver.execute(self._delete_expired, limit)).removeprefix("DELETE "))

    def _answer(self, name: tuple[bytes, str], row: "asyncpg.Record") -> Answer:
        headers = tuple((name, value) for name, value in json.loads(row["headers"]))
        body = self._sealed.open(vault_of(self._engine), "body", _row(name), bytes(row["body"]))
        assert isinstance(body, bytes), "what was bytes is bytes again"
        return Answer(row["status"], body, headers)

    async def _first(self, statement: str, *values: Any) -> "asyncpg.Record | None":
        async with self._connected() as driver:
            return await driver.fetchrow(statement, *values)

    @asynccontextmanager
    async def _connected(self) -> "AsyncIterator[asyncpg.Connection[Any]]":
        """A connection for one statement. A lost one is raised as DatabaseUnavailable."""
        try:
            taken = await take_connection(self._engine)
            try:
                yield driver_of_pooled(taken)
            except BaseException as error:
                if lost_connection(error) or not isinstance(error, Exception):
                    taken.invalidate()
                raise
            finally:
                taken.close()
        except Exception as error:
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise


def _digest(owner: KeyOwner) -> bytes:
    """One value per owner, hashed: of a length that an index takes, and no name is kept.

    JSON tells a subject with an actor from a subject of the same letters.
    """
    return hashlib.sha256(json.dumps([owner.subject, owner.actor]).encode()).digest()


def _row(name: tuple[bytes, str]) -> dict[str, Any]:
    return dict(zip(("owner", "key"), name, strict=True))
