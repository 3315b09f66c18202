"""Fixtures that every suite may ask for; `tests/support` says what each one is."""

# In the order of their imports of one another: pytest rewrites the assertions of what is not imported yet.
pytest_plugins = [
    "tests.support.postgres",
    "tests.support.database",
    "tests.support.pgbouncer",
    "tests.support.rabbitmq",
    "tests.support.sandbox",
    "tests.support.valkey",
]
