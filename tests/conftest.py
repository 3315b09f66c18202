"""Fixtures that every suite may ask for; `tests/support` says what each one is."""

pytest_plugins = [
    "tests.support.database",
    "tests.support.postgres",
    "tests.support.sandbox",
    "tests.support.valkey",
]
