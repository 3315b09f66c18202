"""Whether a database can be used: it answers, and its schema is the one this code was written for."""

from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine


class NotReady(Exception):
    """The message says what is missing, for operators."""


@cache
def head_revision() -> str:
    """The newest migration's revision."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return ScriptDirectory.from_config(config).get_current_head() or ""


async def check_database(engine: AsyncEngine) -> None:
    """Raises NotReady, or what the driver raises where the database is away."""
    async with engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('public.alembic_version')")) is None:
            raise NotReady("the database has no schema yet: run `payonce migrate`")
        revision = await connection.scalar(text("SELECT version_num FROM public.alembic_version"))
    if revision != head_revision():
        raise NotReady(f"the schema is at revision {revision}, not {head_revision()}: run `payonce migrate`")


async def only_triggers_protect(engine: AsyncEngine) -> bool:
    """Whether the role of this connection could change what is append-only, were it not for the triggers.

    It could where it may act as the owner of such a table or of its schema, or was granted more than to
    read and add.
    """
    async with engine.connect() as connection:
        return bool(await connection.scalar(_UNGUARDED))


_UNGUARDED = text(
    """
    SELECT EXISTS (
        SELECT FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE t.tgname = 'append_only' AND (
            pg_has_role(c.relowner, 'MEMBER') OR pg_has_role(n.nspowner, 'MEMBER')
            OR has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
        )
    )
    """
)
