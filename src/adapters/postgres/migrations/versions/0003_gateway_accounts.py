"""The gateway account in the keys of what a gateway names.

Until now there was one account, called stripe: the release before goes on writing for it.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = [
    "ALTER TABLE payments.operation ADD COLUMN gateway text NOT NULL DEFAULT 'stripe'",
    "ALTER TABLE payments.webhook_event ADD COLUMN gateway text NOT NULL DEFAULT 'stripe'",
    # What one account calls evt_1 says nothing of another account's evt_1.
    """
    ALTER TABLE payments.webhook_event
        DROP CONSTRAINT webhook_event_pkey, ADD PRIMARY KEY (gateway, event_id)
    """,
    "DROP INDEX payments.payment_intent",
    "CREATE UNIQUE INDEX payment_intent ON payments.payment (gateway, intent_id)",
    "DROP INDEX payments.webhook_event_waiting",
    """
    CREATE INDEX webhook_event_waiting ON payments.webhook_event (gateway, intent_id)
        WHERE payment_id IS NULL AND intent_id IS NOT NULL
    """,
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
