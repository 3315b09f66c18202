"""The logs' days are made and dropped by functions of their owner, for whoever only uses them. Frozen, as 0001 is."""

from alembic import op

revision = "0025"
down_revision = "0024"


def _drop_day(schema: str, table: str) -> str:
    return f"""
        CREATE FUNCTION {schema}.{table}_drop_day(name text) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF name !~ '^{table}_[0-9]{{8}}$'
                OR right(name, 8) >= to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD')
            THEN
                RAISE EXCEPTION '% is not a day of {table} that has ended', name;
            END IF;
            EXECUTE format('DROP TABLE {schema}.%I', name);
        END
        $$
        """


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for schema, kind in (("payments", "outbox"), ("orders", "outbox"), ("orders", "inbox")):
        op.execute(_drop_day(schema, f"{kind}_event"))
        make = f"{schema}.{kind}_make_partitions(integer)"
        op.execute(f"ALTER FUNCTION {make} SECURITY DEFINER SET search_path = pg_catalog, pg_temp")
