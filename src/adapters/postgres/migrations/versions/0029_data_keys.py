"""The data keys of orders and payments, under which their personal data is sealed. Frozen, as 0001 is."""

from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    for schema in ("orders", "payments"):
        op.execute(
            f"""
            CREATE TABLE {schema}.data_key (
                record text PRIMARY KEY,
                wrapped text,
                created_at timestamptz NOT NULL DEFAULT now(),
                erased_at timestamptz,
                CONSTRAINT data_key_or_erased CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
            )
            """
        )
