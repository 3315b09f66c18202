"""Stock, and what each order holds of it. Frozen, as 0001 is."""

from alembic import op

revision = "0014"
down_revision = "0013"

STATEMENTS = [
    # By code points, whatever the database's collation: the order in which rows are locked and listed.
    """
    CREATE TABLE orders.inventory (
        sku text COLLATE "C" PRIMARY KEY,
        on_hand bigint NOT NULL,
        reserved bigint NOT NULL,
        version integer NOT NULL,
        updated_at timestamptz NOT NULL,
        CONSTRAINT inventory_reserved CHECK (reserved BETWEEN 0 AND on_hand)
    ) WITH (fillfactor = 50)
    """,
    # Orders would hold what is nowhere, and their release would be lost.
    """
    CREATE FUNCTION orders.refuse_reserved_stock() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'stock of "%" is reserved, which violates check constraint "inventory_reserved"', OLD.sku
            USING ERRCODE = 'check_violation', CONSTRAINT = 'inventory_reserved';
    END $$
    """,
    """
    CREATE TRIGGER inventory_reserved BEFORE DELETE OR UPDATE OF sku ON orders.inventory FOR EACH ROW
    WHEN (OLD.reserved > 0) EXECUTE FUNCTION orders.refuse_reserved_stock()
    """,
    "ALTER TABLE orders.orders ADD COLUMN reserved jsonb",
    # Orders from before hold nothing, so there is no row to look at. The release before knows nothing of
    # stock: while both run, it may move orders that hold none, and is refused those whose stock it would lose.
    """
    ALTER TABLE orders.orders ADD CONSTRAINT orders_reserved CHECK (
        reserved IS NULL OR reserved = '{}' OR status NOT IN ('DRAFT', 'PAYMENT_FAILED', 'CANCELED') AND fulfilled_at IS NULL
    ) NOT VALID
    """,
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
