"""Endpoints that are sent events, and their deliveries. Frozen, as 0001 is."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE orders.webhook_endpoint (
            endpoint_id text PRIMARY KEY,
            url text NOT NULL,
            event_types jsonb NOT NULL,
            description text,
            secret text NOT NULL,
            previous_secret text,
            previous_secret_until timestamptz,
            rotated_by text,
            disabled_at timestamptz,
            disabled_reason text CHECK (disabled_reason IN ('OPERATOR', 'UNCONFIGURED', 'GONE', 'FAILING')),
            failing_since timestamptz,
            paused_until timestamptz,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            deleted_at timestamptz,
            CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
        )
        """
    )
    # An open one has its time, a finished one has none: nothing can be left lying between.
    op.execute(
        """
        CREATE TABLE orders.webhook_delivery (
            delivery_id text PRIMARY KEY,
            endpoint_id text NOT NULL REFERENCES orders.webhook_endpoint,
            event_id text NOT NULL,
            event_type text NOT NULL,
            order_id text NOT NULL,
            body text NOT NULL,
            status text NOT NULL CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED')),
            tries integer NOT NULL,
            attempts jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            due_at timestamptz,
            finished_at timestamptz,
            CHECK ((status = 'PENDING') = (due_at IS NOT NULL)),
            CHECK ((status = 'PENDING') = (finished_at IS NULL)),
            UNIQUE (endpoint_id, event_id)
        )
        """
    )
    op.execute(
        "CREATE INDEX webhook_delivery_due ON orders.webhook_delivery (endpoint_id, due_at) WHERE status = 'PENDING'"
    )
    # For an endpoint's list, and with its status for the replay of what failed.
    op.execute("CREATE INDEX webhook_delivery_list ON orders.webhook_delivery (endpoint_id, delivery_id)")
    op.execute(
        """
        CREATE INDEX webhook_delivery_failed ON orders.webhook_delivery (endpoint_id, created_at)
            WHERE status = 'FAILED'
        """
    )
    op.execute("CREATE INDEX webhook_delivery_finished ON orders.webhook_delivery (finished_at)")
    op.execute("CREATE INDEX webhook_delivery_order ON orders.webhook_delivery (order_id)")
