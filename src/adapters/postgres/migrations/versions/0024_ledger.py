"""The ledger, and the gateway's own account of our balance. Frozen, as 0001 is.

An entry and its postings are only ever inserted, in one transaction, at whose end the postings of each
entry must sum to zero in each currency. Payments of before have no entries yet: `payonce ledger backfill`
posts them, once the processes of the release before are gone.
"""

from alembic import op

from adapters.postgres.migrations.append_only import append_only

revision = "0024"
down_revision = "0023"

_LEDGER = [
    """
    CREATE TABLE payments.ledger_entry (
        entry_id uuid PRIMARY KEY,
        kind text NOT NULL,
        source text NOT NULL,
        gateway text NOT NULL,
        gateway_object text,
        payment_id text,
        order_id text,
        posted_at timestamptz NOT NULL,
        CONSTRAINT ledger_entry_source UNIQUE (source, kind, gateway)
    )
    """,
    "CREATE INDEX ledger_entry_by_time ON payments.ledger_entry (posted_at, entry_id)",
    """
    CREATE INDEX ledger_entry_of_payment ON payments.ledger_entry (payment_id, posted_at)
        WHERE payment_id IS NOT NULL
    """,
    """
    CREATE INDEX ledger_entry_of_object ON payments.ledger_entry (gateway_object)
        WHERE gateway_object IS NOT NULL
    """,
    """
    CREATE TABLE payments.ledger_posting (
        entry_id uuid NOT NULL REFERENCES payments.ledger_entry,
        number smallint NOT NULL CHECK (number > 0),
        account text NOT NULL,
        gateway text NOT NULL,
        currency text NOT NULL,
        amount bigint NOT NULL CHECK (amount <> 0),
        posted_at timestamptz NOT NULL,
        PRIMARY KEY (entry_id, number)
    )
    """,
    # Balances are sums over this index alone; statements are read in its order.
    """
    CREATE INDEX ledger_posting_by_account ON payments.ledger_posting (account, posted_at, entry_id)
        INCLUDE (gateway, currency, amount)
    """,
    """
    CREATE FUNCTION payments.check_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM payments.ledger_posting WHERE entry_id = NEW.entry_id
            GROUP BY currency HAVING sum(amount) <> 0
        ) THEN
            RAISE EXCEPTION 'the postings of entry % do not sum to zero', NEW.entry_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balances';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE CONSTRAINT TRIGGER ledger_entry_balances AFTER INSERT ON payments.ledger_posting
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION payments.check_entry_balances()
    """,
    # In replication's mode of a session too, in which other triggers are silent.
    "ALTER TABLE payments.ledger_posting ENABLE ALWAYS TRIGGER ledger_entry_balances",
    *append_only("payments.ledger_entry"),
    *append_only("payments.ledger_posting"),
]

_BALANCE = [
    """
    CREATE TABLE payments.balance_transaction (
        gateway text NOT NULL,
        transaction_id text NOT NULL,
        type text NOT NULL,
        source_id text,
        description text,
        currency text NOT NULL,
        amount bigint NOT NULL,
        fee bigint NOT NULL,
        exchange_rate numeric,
        created_at timestamptz NOT NULL,
        available_at timestamptz NOT NULL,
        checked_at timestamptz NOT NULL,
        explained boolean NOT NULL,
        PRIMARY KEY (gateway, transaction_id)
    )
    """,
    """
    CREATE INDEX balance_transaction_of_object ON payments.balance_transaction (source_id)
        WHERE source_id IS NOT NULL
    """,
    """
    CREATE INDEX balance_transaction_unexplained ON payments.balance_transaction (gateway, checked_at)
        WHERE NOT explained
    """,
    """
    CREATE TABLE payments.balance_cursor (gateway text PRIMARY KEY, created_until timestamptz NOT NULL)
    """,
]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # The default is for what the release before writes: it posts nothing.
    op.execute("ALTER TABLE payments.dispute ADD COLUMN movements integer NOT NULL DEFAULT 0")
    for statement in (*_LEDGER, *_BALANCE):
        op.execute(statement)
