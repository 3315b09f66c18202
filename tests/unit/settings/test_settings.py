"""The settings: what may be set, by which name, and the one sentence for what is wrong."""

from pathlib import Path

import pytest

from domain.reconciliation.finding import Action, FindingType
from entrypoints.environment import load_settings
from entrypoints.settings import Secret, Settings, SettingsInvalid


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load_settings({"PATH": "/bin", "HOME": "/root"})
    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    assert settings.signing_key_file == Path(".payonce/keys.json")


def test_both_services_use_the_one_database_unless_they_have_their_own() -> None:
    settings = load_settings(
        {
            "PAYONCE_DATABASE_URL": "postgresql://u:p@h:5432/one",
            "PAYONCE_PAYMENTS_DATABASE_URL": "postgres://u:p@h/two",
        }
    )
    assert settings.orders_database_url.reveal() == "postgresql://u:p@h:5432/one"
    assert settings.payments_database_url.reveal() == "postgresql://u:p@h/two"


ONE, TWO, DIRECT = "postgresql://u:p@h/one", "postgresql://u:p@h/two", "postgresql://u:p@direct/one"


@pytest.mark.parametrize(
    ("given", "orders", "payments"),
    [
        ({}, ONE, ONE),
        ({"PAYMENTS_DATABASE_URL": TWO}, ONE, TWO),
        ({"LISTEN_DATABASE_URL": DIRECT}, DIRECT, DIRECT),
        ({"DATABASE_POOLER": "transaction"}, "", ""),
        ({"DATABASE_POOLER": "transaction", "LISTEN_DATABASE_URL": DIRECT}, DIRECT, DIRECT),
        ({"DATABASE_POOLER": "transaction", "ORDERS_LISTEN_DATABASE_URL": DIRECT}, DIRECT, ""),
        ({"LISTEN_DATABASE_URL": DIRECT, "PAYMENTS_LISTEN_DATABASE_URL": TWO}, DIRECT, TWO),
    ],
)
def test_relays_listen_at_the_database_itself_and_never_through_a_pooler(
    given: dict[str, str], orders: str, payments: str
) -> None:
    environ = {"PAYONCE_DATABASE_URL": ONE} | {f"PAYONCE_{name}": value for name, value in given.items()}
    settings = load_settings(environ)
    assert settings.orders_listen_database_url.reveal() == orders
    assert settings.payments_listen_database_url.reveal() == payments


def test_an_inbox_remembers_longer_than_the_log_is_kept() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({"PAYONCE_OUTBOX_RETENTION_DAYS": "60"})
    assert str(refused.value) == (
        "PAYONCE_INBOX_RETENTION_DAYS must be more than PAYONCE_OUTBOX_RETENTION_DAYS: 60 is not more than 60."
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = tmp_path / "payonce.toml"
    config.write_text('port = 9000\nlog_level = "debug"\nhome = "/srv/payonce"\n')
    settings = load_settings({"PAYONCE_CONFIG": str(config), "PAYONCE_PORT": "9001"})
    assert (settings.port, settings.log_level) == (9001, "DEBUG")
    assert settings.signing_key_file == Path("/srv/payonce/keys.json")


def test_variables_of_the_test_suite_are_not_settings() -> None:
    assert load_settings({"PAYONCE_TEST_PG15": "/usr/lib/postgresql/15"}) == Settings()


WRONG = [
    ("PORT", "abc", "PAYONCE_PORT is wrong: expected `int`, got `str`."),
    ("PORT", "65536", "PAYONCE_PORT is wrong: expected `int` <= 65535."),
    ("PORT", "", "PAYONCE_PORT is wrong: expected `int`, got `str`."),
    ("RECEIPTS", "all", "PAYONCE_RECEIPTS is wrong: it must be one of requested, customer."),
    (
        "STATEMENT_DESCRIPTOR_PREFIX",
        "A",
        "PAYONCE_STATEMENT_DESCRIPTOR_PREFIX is wrong: expected `str` of length >= 2.",
    ),
    (
        "STATEMENT_DESCRIPTOR_PREFIX",
        "PAYONCE SHOP",
        "PAYONCE_STATEMENT_DESCRIPTOR_PREFIX is wrong: expected `str` of length <= 10.",
    ),
    ("SERVICE", "both", "PAYONCE_SERVICE is wrong: it must be one of all, orders, payments."),
    (
        "DATABASE_URL",
        "mysql://h/d",
        "PAYONCE_DATABASE_URL is not an address of the form postgresql://… or postgres://….",
    ),
    (
        "DATABASE_URL",
        "postgresql://h:notaport/d",
        "PAYONCE_DATABASE_URL is not an address of the form postgresql://… or postgres://….",
    ),
    (
        "REDIS_URL",
        "localhost:6379",
        "PAYONCE_REDIS_URL is not an address of the form redis://… or rediss://….",
    ),
    ("STRIPE_API_BASE", "", "PAYONCE_STRIPE_API_BASE is not an address of the form https://… or http://…."),
    ("STRIPE_TIMEOUT_SECONDS", "0", "PAYONCE_STRIPE_TIMEOUT_SECONDS is wrong: expected `float` > 0.0."),
    ("STRIPE_TIMEOUT_SECONDS", "inf", "PAYONCE_STRIPE_TIMEOUT_SECONDS is wrong: expected `float` <= 3600.0."),
    ("STRIPE_TIMEOUT_SECONDS", "nan", "PAYONCE_STRIPE_TIMEOUT_SECONDS is wrong: expected `float` > 0.0."),
    (
        "WEBHOOK_TOLERANCE_SECONDS",
        "1.5",
        "PAYONCE_WEBHOOK_TOLERANCE_SECONDS is wrong: expected `int`, got `str`.",
    ),
    ("SMTP_URL", "http://h", "PAYONCE_SMTP_URL is not an address of the form smtp://… or smtps://…."),
    (
        "SMTP_URL",
        "smtp://mail.test",
        "PAYONCE_SMTP_URL needs PAYONCE_MAIL_FROM, the address that mails come from.",
    ),
    (
        "SHOP_URL",
        "https://shop.test/orders",
        "PAYONCE_SHOP_URL has no {orderId} in it, the place of the order's id.",
    ),
    ("HOME", "", "PAYONCE_HOME is wrong: it must not be empty."),
    ("STRIPE_API_KEY", "", "PAYONCE_STRIPE_API_KEY is wrong: it must not be empty."),
    ("ISSUER", "", "PAYONCE_ISSUER is wrong: expected `str` of length >= 1."),
    ("DATABSE_URL", "x", "PAYONCE_DATABSE_URL is not a setting; did you mean PAYONCE_DATABASE_URL?"),
    ("BANANA", "x", "PAYONCE_BANANA is not a setting."),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_a_wrong_setting_is_named_in_one_sentence(name: str, value: str, sentence: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({f"PAYONCE_{name}": value})
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("port = 'x'", "port in {path} is wrong: expected `int`, got `str`."),
        ("prot = 1", "prot in {path} is not a setting; did you mean port?"),
        ("database_url = 7", "database_url in {path} is not an address"),
        ("stripe_api_key = 7", "stripe_api_key in {path} is wrong: expected `str`."),
        ("port =", "PAYONCE_CONFIG: {path} is not TOML"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    config = tmp_path / "payonce.toml"
    config.write_text(text)
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({"PAYONCE_CONFIG": str(config)})
    assert str(refused.value).startswith(sentence.format(path=config))


def test_the_broker_is_redis_unless_another_is_named() -> None:
    redis, rabbitmq = "redis://h:1/0", "amqp://h:2/%2F"
    settings = load_settings({"PAYONCE_REDIS_URL": redis})
    settings.require_broker()
    assert settings.broker_url.reveal() == redis
    settings = load_settings({"PAYONCE_BROKER_URL": rabbitmq})
    settings.require_broker()
    assert settings.broker_url.reveal() == rabbitmq
    both = {"PAYONCE_REDIS_URL": redis, "PAYONCE_BROKER_URL": rabbitmq}
    assert load_settings(both).broker_url.reveal() == rabbitmq
    with pytest.raises(SettingsInvalid, match="PAYONCE_REDIS_URL is not set"):
        load_settings({}).require_broker()
    with pytest.raises(SettingsInvalid, match="PAYONCE_BROKER_URL is not an address"):
        load_settings({"PAYONCE_BROKER_URL": "kafka://h:1"})


def test_a_missing_file_is_named() -> None:
    with pytest.raises(SettingsInvalid, match=r"PAYONCE_CONFIG: .*nowhere\.toml cannot be read"):
        load_settings({"PAYONCE_CONFIG": "/nowhere.toml"})


def test_a_needed_setting_that_is_not_set_is_named() -> None:
    settings = load_settings({"PAYONCE_REDIS_URL": "redis://h:1/0"})
    settings.require("redis_url")
    with pytest.raises(SettingsInvalid, match=r"^PAYONCE_DATABASE_URL is not set and has no default\.$"):
        settings.require("redis_url", "database_url")


def test_each_service_needs_its_own_database_only() -> None:
    one = load_settings({"PAYONCE_DATABASE_URL": "postgresql://h/one"})
    assert one.require_databases() == ((Secret("postgresql://h/one"), Secret("postgresql://h/one")),)
    environ = {"PAYONCE_ORDERS_DATABASE_URL": "postgresql://h/orders", "PAYONCE_SERVICE": "orders"}
    assert load_settings(environ).require_databases() == (
        (Secret("postgresql://h/orders"), Secret("postgresql://h/orders")),
    )
    with pytest.raises(SettingsInvalid, match=r"^PAYONCE_DATABASE_URL is not set"):
        load_settings({**environ, "PAYONCE_SERVICE": "all"}).require_databases()


def test_migrations_have_a_url_of_their_own() -> None:
    environ = {
        "PAYONCE_DATABASE_URL": "postgresql://h/one",
        "PAYONCE_MIGRATION_DATABASE_URL": "postgresql://owner@h/one",
    }
    owner, application = Secret("postgresql://owner@h/one"), Secret("postgresql://h/one")
    assert load_settings(environ).require_databases() == ((owner, application),)
    environ["PAYONCE_ORDERS_MIGRATION_DATABASE_URL"] = "postgresql://other@h/one"
    other = Secret("postgresql://other@h/one")
    assert load_settings(environ).require_databases() == ((other, application), (owner, application))


def test_secrets_show_in_no_text() -> None:
    settings = load_settings(
        {
            "PAYONCE_DATABASE_URL": "postgresql://u:hunter2@h/d",
            "PAYONCE_STRIPE_API_KEY": "sk_test_hunter2",
            "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_hunter2",
            "PAYONCE_REDIS_URL": "redis://:hunter2@h/0",
        }
    )
    assert settings.stripe_api_key == Secret("sk_test_hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in f"{settings.stripe_api_key} {settings.database_url!s}"


ISSUER = '{"issuer": "https://login.test", "audience": "shop", "jwks_url": "https://login.test/jwks"}'


def test_outside_issuers_as_json() -> None:
    (issuer,) = load_settings({"PAYONCE_TRUSTED_ISSUERS": f"[{ISSUER}]"}).trusted_issuers
    assert (issuer.issuer, issuer.audience, issuer.scope_claim) == ("https://login.test", "shop", "scope")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("x", "is not JSON"),
        ("{}", "array"),
        ('[{"issuer": "i"}]', "[0]"),
        (f"[{ISSUER}, {ISSUER}]", "names https://login.test twice"),
        (f"[{ISSUER}]".replace('"https://login.test",', '"payonce",', 1), "our own issuer"),
        (f"[{ISSUER}]".replace("https://login.test/jwks", "http://login.test/jwks"), "must come by https"),
        (f"[{ISSUER}]".replace("https://login.test/jwks", "https://u:p@login.test/jwks"), "[0]"),
        (f"[{ISSUER}]".replace("https://login.test/jwks", "file:///etc/passwd"), "[0]"),
    ],
)
def test_outside_issuers_that_are_refused(value: str, words: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({"PAYONCE_TRUSTED_ISSUERS": value})
    assert words in str(refused.value)
    assert "PAYONCE_TRUSTED_ISSUERS" in str(refused.value)


def test_networks_of_proxies_with_commas() -> None:
    settings = load_settings({"PAYONCE_TRUSTED_PROXIES": "10.0.0.0/8, 127.0.0.1"})
    assert settings.trusted_proxies == ("10.0.0.0/8", "127.0.0.1/32")
    with pytest.raises(SettingsInvalid, match="PAYONCE_TRUSTED_PROXIES"):
        load_settings({"PAYONCE_TRUSTED_PROXIES": "10.0.0.1/8"})


def test_origins_with_commas() -> None:
    settings = load_settings({"PAYONCE_CORS_ORIGINS": "https://shop.example, http://127.0.0.1:3000"})
    assert settings.cors_origins == ("https://shop.example", "http://127.0.0.1:3000")
    for wrong in ("*", "null", "https://shop.example/", "https://*.example", "shop.example"):
        with pytest.raises(SettingsInvalid, match="PAYONCE_CORS_ORIGINS"):
            load_settings({"PAYONCE_CORS_ORIGINS": wrong})


def test_a_repair_policy_is_read_and_one_that_makes_no_sense_stops_the_start() -> None:
    read = load_settings({"PAYONCE_REPAIR_POLICY": '{"MISSING_WEBHOOK": "flag"}'})
    assert read.repair_policy == {FindingType.MISSING_WEBHOOK: Action.FLAG}
    with pytest.raises(SettingsInvalid, match="REPAIR_POLICY is wrong: PAYMENT_ALTERED allows flag, ignore"):
        load_settings({"PAYONCE_REPAIR_POLICY": '{"PAYMENT_ALTERED": "apply"}'})
    with pytest.raises(SettingsInvalid, match="REPAIR_POLICY"):
        load_settings({"PAYONCE_REPAIR_POLICY": '{"NO_SUCH_TYPE": "flag"}'})
