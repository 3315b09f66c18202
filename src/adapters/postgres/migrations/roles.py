"""Who may do what in the database: granted at the end of each migration, so that no new table is forgotten.

The owner is whoever migrates. The application logs in as a member of `payonce_app`, which owns nothing: it
reads and writes rows, and of tables that are append-only it reads and adds them. What it needs an owner
for, the making and dropping of a log's days, it does through functions that do nothing else.
"""

from sqlalchemy import Connection, text

APPLICATION = "payonce_app"
SCHEMAS = ("payments", "orders", "reconciliation")

# Of the cluster, not of this database: another database's migration may make it at the same moment.
_MAKE = f"""
    DO $$ BEGIN
        IF to_regrole('{APPLICATION}') IS NULL THEN
            CREATE ROLE {APPLICATION} NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            RAISE WARNING 'the role {APPLICATION} is not there and % may not make it: nothing is granted', current_user;
    END $$
"""

_GRANT_TABLES = """
    DO $$
    DECLARE
        one record;
    BEGIN
        FOR one IN
            SELECT c.oid::regclass AS name, EXISTS (
                SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only'
            ) AS append_only
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = '{schema}' AND c.relkind IN ('r', 'p', 'v', 'm')
        LOOP
            IF one.append_only THEN
                EXECUTE format('REVOKE ALL ON %s FROM payonce_app', one.name);
                EXECUTE format('GRANT SELECT, INSERT ON %s TO payonce_app', one.name);
            ELSE
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO payonce_app', one.name);
            END IF;
        END LOOP;
    END $$
"""

_GRANT_SCHEMA = (
    "GRANT USAGE ON SCHEMA {schema} TO " + APPLICATION,
    _GRANT_TABLES,
    "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO " + APPLICATION,
    # Of the days that are made later on, by functions that run as the owner.
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "
    + APPLICATION,
)


def grant(connection: Connection) -> None:
    """Let the application's role do what the application does. Does nothing where the role cannot be made."""
    connection.execute(text(_MAKE))
    if connection.scalar(text(f"SELECT to_regrole('{APPLICATION}')")) is None:
        return
    connection.execute(text(f"GRANT SELECT ON public.alembic_version TO {APPLICATION}"))
    for schema in SCHEMAS:
        if connection.scalar(text(f"SELECT to_regnamespace('{schema}')")) is not None:
            for statement in _GRANT_SCHEMA:
                connection.exec_driver_sql(statement.format(schema=schema))
