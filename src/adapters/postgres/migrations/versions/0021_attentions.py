"""All that a person must look at in an order, not only the last of it. Frozen, as 0001 is."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE orders.orders ADD COLUMN attentions jsonb NOT NULL DEFAULT '[]'")
    # The release before knows `attention` alone, which is the first of them: what it sets or clears there
    # is followed, and what stands behind it stays.
    op.execute(
        """
        CREATE FUNCTION orders.follow_attention() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.attentions := to_jsonb(array_remove(ARRAY[NEW.attention], NULL))
                || ((NEW.attentions - 0) - coalesce(NEW.attention, ''));
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER orders_attention BEFORE INSERT OR UPDATE ON orders.orders FOR EACH ROW
        WHEN (NEW.attention IS DISTINCT FROM NEW.attentions ->> 0)
        EXECUTE FUNCTION orders.follow_attention()
        """
    )
    op.execute("UPDATE orders.orders SET attention = attention WHERE attention IS NOT NULL")
