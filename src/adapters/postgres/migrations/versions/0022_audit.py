"""The audit log of each service: a chain of hashes, only ever added to. Frozen, as 0001 is."""

from alembic import op

from adapters.postgres.migrations.append_only import append_only

revision = "0022"
down_revision = "0021"


def _audit(schema: str) -> list[str]:
    return [
        # json, not jsonb: the text is kept to the letter, since it is what was hashed.
        f"""
        CREATE TABLE {schema}.audit (
            position bigint PRIMARY KEY,
            hash bytea NOT NULL,
            entry json NOT NULL
        )
        """,
        f"CREATE INDEX audit_object ON {schema}.audit ((entry ->> 'object_id'), position)",
        f"CREATE INDEX audit_subject ON {schema}.audit ((entry ->> 'subject'), position)",
        # Whoever inserts extends the chain, and cannot fork it: the lock is held until the commit, and each
        # statement in here sees what was committed before it was granted.
        f"""
        CREATE FUNCTION {schema}.extend_audit() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE
            head record;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.audit', 0));
            SELECT position, hash INTO head FROM {schema}.audit ORDER BY position DESC LIMIT 1;
            NEW.position := coalesce(head.position, 0) + 1;
            NEW.hash := sha256(
                coalesce(head.hash, decode(repeat('00', 32), 'hex')) || convert_to(NEW.entry::text, 'UTF8')
            );
            RETURN NEW;
        END $$
        """,
        f"""
        CREATE TRIGGER audit_chain BEFORE INSERT ON {schema}.audit
        FOR EACH ROW EXECUTE FUNCTION {schema}.extend_audit()
        """,
        f"ALTER TABLE {schema}.audit ENABLE ALWAYS TRIGGER audit_chain",
        *append_only(f"{schema}.audit"),
    ]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for schema in ("payments", "orders"):
        for statement in _audit(schema):
            op.execute(statement)
