"""The application's own role on real PostgreSQL: a member of `payonce_app`, which owns nothing."""

import asyncpg

LOGIN = "test_application"
PASSWORD = "application"


async def application_url(owner_url: str) -> str:
    """The same database as the application logs in; the role is made where the server has none."""
    connection = await asyncpg.connect(owner_url)
    try:
        if await connection.fetchval("SELECT to_regrole($1)", LOGIN) is None:
            await connection.execute(f"CREATE ROLE {LOGIN} LOGIN PASSWORD '{PASSWORD}' IN ROLE payonce_app")
    finally:
        await connection.close()
    scheme, _, rest = owner_url.partition("://")
    return f"{scheme}://{LOGIN}:{PASSWORD}@{rest.rpartition('@')[2]}"
