"""Tables that are only ever added to. Frozen, as the migrations are that call it."""


def append_only(table: str) -> list[str]:
    """Statements by which nobody changes or removes a row of this table (`schema.table`), its owner included.

    They are found by this trigger's name when roles.py grants: the application may then read and insert,
    and neither change the table's rows nor its triggers.
    """
    schema, _, _ = table.partition(".")
    return [
        f"""
        CREATE OR REPLACE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '%.% is append-only: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'restrict_violation';
        END $$
        """,
        f"""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change()
        """,
        # In replication's mode of a session too, in which other triggers are silent.
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only",
    ]
