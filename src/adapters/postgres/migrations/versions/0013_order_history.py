"""The history of orders: one row for each thing that happened to one, only ever inserted.

Positions of one order rise in the order of their commits, because whoever inserts has locked the order's row
before the position is drawn. The one index serves the one question asked, and grows at its end, since
orders' ids sort by time; a foreign key would look up and lock a row that is locked already. Frozen, as 0001 is.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE orders.history (
            order_id text NOT NULL,
            position bigint GENERATED ALWAYS AS IDENTITY,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            entry jsonb NOT NULL,
            PRIMARY KEY (order_id, position)
        )
        """
    )
