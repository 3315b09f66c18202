"""Who asked for what we did at the gateway, for `explain`. NULL where an older version wrote the row."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE payments.operation ADD COLUMN requested_by text, ADD COLUMN actor text")
