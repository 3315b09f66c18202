"""A PostgreSQL and a Valkey of the benchmark's own, with the application's schema, gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config

from adapters.security.data_keys import create_data_keys
from adapters.security.keys import create_keys
from entrypoints.local.postgres import EmbeddedPostgres
from entrypoints.local.valkey import EmbeddedValkey
from entrypoints.settings import Secret, Settings

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Machine:
    """The servers, with PostgreSQL's own defaults: every commit waits for the disk."""

    home: Path
    database_url: str
    redis_url: str

    @property
    def settings(self) -> Settings:
        """Settings of an application on these servers; nothing here calls a gateway."""
        return Settings(
            home=self.home,
            database_url=Secret(self.database_url),
            redis_url=Secret(self.redis_url),
            stripe_api_key=Secret("sk_test_payonce"),
            stripe_webhook_secret=Secret("whsec_benchmark"),
            stripe_api_base="http://127.0.0.1:9",
        )


@contextmanager
def a_machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="payonce-benchmark-") as folder:
        home = Path(folder)
        postgres = EmbeddedPostgres(home / "postgres")
        valkey = EmbeddedValkey(home / "valkey")
        postgres.start()
        try:
            valkey.start()
            _migrate(postgres.url())
            create_keys(home / "keys.json")
            create_data_keys(home / "data-keys.json")
            yield Machine(home, postgres.url(), valkey.url)
        finally:
            valkey.stop()
            postgres.stop()


def _migrate(url: str) -> None:
    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = url
    command.upgrade(config, "head")
