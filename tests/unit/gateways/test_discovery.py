"""Gateway accounts of the settings, through plug-ins that installed packages offer."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.circuit_breaker.circuit import Circuit
from domain.payments.errors import CurrencyUnsupported
from entrypoints.environment import load_settings
from entrypoints.gateways import BuiltGateways, build_gateways
from entrypoints.settings import Settings, SettingsInvalid

DEFAULT = {"PAYONCE_STRIPE_API_KEY": "sk_test_payonce", "PAYONCE_STRIPE_WEBHOOK_SECRET": "whsec_1"}
EU = '{"name": "eu", "kind": "stripe", "api_key": "sk_eu", "webhook_secret": "whsec_eu", "currencies": ["EUR"]}'
US = '{"name": "us", "kind": "stripe", "api_key": "sk_us", "webhook_secret": "whsec_us"}'

PLUGIN = '''
"""A gateway by somebody else, in a package of its own."""

from domain.payments.plugin import GatewayParts, GatewaySettingWrong
from tests.support.fake_gateway import FakeGateway
from tests.support.house import ManualClock, RightSignature


def make(name, settings, now):
    if "merchant" not in settings:
        raise GatewaySettingWrong("merchant", "is missing")
    return GatewayParts(FakeGateway(ManualClock(now()), name + "-of-" + settings["merchant"]), RightSignature())
'''


def now() -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC)


def build(environ: dict[str, str]) -> BuiltGateways:
    return build_gateways(load_settings(environ), now)


def names(built: BuiltGateways) -> list[str]:
    return [account.name for account in built.gateways.accounts]


Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package where pip would: its module and its metadata, in a folder of the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, module: str, entry: str, source: str = PLUGIN) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[payonce.gateways]\n{entry}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def test_the_stripe_settings_are_one_account_named_stripe() -> None:
    built = build(DEFAULT)
    assert names(built) == ["stripe"]
    assert built.circuits.keys() == {"stripe"}
    assert built.gateways.for_new_payment(1000, "JPY")[0].name == "stripe"


def test_several_accounts_in_their_order_and_with_their_currencies() -> None:
    built = build({"PAYONCE_GATEWAYS": f"[{EU}, {US}]"})
    assert names(built) == ["eu", "us"]
    assert built.gateways.for_new_payment(1000, "EUR")[0].name == "eu"
    assert built.gateways.for_new_payment(1000, "USD")[0].name == "us"
    with pytest.raises(CurrencyUnsupported):
        built.gateways.account("eu").check_takes(1000, "USD")


def test_accounts_in_the_file(tmp_path: Path) -> None:
    config = tmp_path / "payonce.toml"
    config.write_text(
        '[[gateways]]\nname = "eu"\nkind = "stripe"\napi_key = "sk_eu"\nwebhook_secret = "whsec_eu"\n'
        '[[gateways]]\nname = "us"\nkind = "stripe"\napi_key = "sk_us"\nwebhook_secret = "whsec_us"\n'
    )
    assert names(build({"PAYONCE_CONFIG": str(config)})) == ["eu", "us"]


async def test_a_circuit_that_is_open_closes_the_account_to_new_payments() -> None:
    built = build({"PAYONCE_GATEWAYS": f"[{EU}, {US}]", "PAYONCE_CIRCUIT_FAILURES": "1"})
    await open_circuit(built.circuits["eu"])
    assert built.gateways.unreachable() == ["eu"]
    assert built.gateways.for_new_payment(1000, "EUR")[0].name == "us"
    for account in built.gateways.accounts:
        await account.gateway.aclose()


async def open_circuit(circuit: Circuit) -> None:
    circuit._failed(True)


def test_another_package_s_gateway_is_found_without_a_change_of_ours(install: Install) -> None:
    install("payonce-acme", "payonce_acme", "acme = payonce_acme:make")
    built = build({"PAYONCE_GATEWAYS": f'[{{"name": "x", "kind": "acme", "merchant": "m7"}}, {US}]'})
    assert names(built) == ["x-of-m7", "us"]


def test_a_gateway_s_own_fault_names_account_and_setting(install: Install) -> None:
    install("payonce-acme", "payonce_acme", "acme = payonce_acme:make")
    with pytest.raises(SettingsInvalid) as refused:
        build({"PAYONCE_GATEWAYS": '[{"name": "x", "kind": "acme"}]'})
    assert str(refused.value) == "PAYONCE_GATEWAYS is wrong: merchant of the account x is missing."


def test_a_package_that_cannot_be_imported_is_named(install: Install) -> None:
    install("payonce-broken", "payonce_broken", "broken = payonce_broken:make", "import nowhere_to_be_found")
    with pytest.raises(SettingsInvalid, match=r"broken, the kind of the account x, cannot be loaded"):
        build({"PAYONCE_GATEWAYS": '[{"name": "x", "kind": "broken"}]'})


def test_two_packages_that_offer_the_same_kind_are_named(install: Install) -> None:
    install("payonce-acme", "payonce_acme", "acme = payonce_acme:make")
    install("payonce-emca", "payonce_emca", "acme = payonce_emca:make")
    with pytest.raises(SettingsInvalid, match="payonce-acme and payonce-emca both offer acme"):
        build({"PAYONCE_GATEWAYS": '[{"name": "x", "kind": "acme", "merchant": "m"}]'})


def accounts(**changes: object) -> str:
    """A list of one account that would be right without these changes; None leaves a setting out."""
    right = {"name": "eu", "kind": "stripe", "api_key": "sk", "webhook_secret": "whsec"}
    return json.dumps([{key: value for key, value in {**right, **changes}.items() if value is not None}])


WRONG = [
    ("no", "PAYONCE_GATEWAYS is not JSON"),
    ("{}", "PAYONCE_GATEWAYS is not a list of accounts."),
    ("[]", "PAYONCE_GATEWAYS is not a list of accounts."),
    (f"[{EU}, {EU}]", "PAYONCE_GATEWAYS names two accounts eu."),
    (accounts(name=None), "PAYONCE_GATEWAYS is wrong at [0]: object missing required field `name`."),
    (accounts(name=7), "PAYONCE_GATEWAYS is wrong at [0].name: expected `str`, got `int`."),
    (accounts(name="a/b"), "PAYONCE_GATEWAYS is wrong at [0].name: expected `str` matching"),
    (accounts(currencies=["eur"]), "PAYONCE_GATEWAYS is wrong at [0].currencies[0]: expected `str`"),
    (
        accounts(kind="adyen"),
        "PAYONCE_GATEWAYS is wrong: no installed package offers adyen, the kind of the account eu (offered: stripe).",
    ),
    (accounts(api_key=None), "PAYONCE_GATEWAYS is wrong: api_key of the account eu is missing."),
    (
        accounts(apiKey="sk_secret"),
        "PAYONCE_GATEWAYS is wrong: apiKey of the account eu is not one of its settings.",
    ),
    (
        accounts(api_base="localhost:1"),
        "PAYONCE_GATEWAYS is wrong: api_base of the account eu is not an address of the form https://… or http://….",
    ),
    (
        accounts(timeout_seconds=0),
        "PAYONCE_GATEWAYS is wrong: timeout_seconds of the account eu is wrong: expected float > 0.0.",
    ),
]


@pytest.mark.parametrize(("value", "sentence"), WRONG, ids=[sentence[:60] for _, sentence in WRONG])
def test_a_wrong_account_stops_the_start_with_one_sentence(value: str, sentence: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        build({"PAYONCE_GATEWAYS": value})
    assert str(refused.value).startswith(sentence)
    assert "sk_secret" not in str(refused.value)
    assert str(refused.value).count(". ") == 0


def test_the_one_account_needs_its_settings() -> None:
    with pytest.raises(SettingsInvalid, match=r"^PAYONCE_STRIPE_API_KEY is not set and has no default\.$"):
        build({})


def test_secrets_of_accounts_show_in_no_text() -> None:
    settings: Settings = load_settings({"PAYONCE_GATEWAYS": f"[{EU}]"})
    assert "eu" in repr(settings)
    assert "sk_eu" not in f"{settings!r} {settings.gateways[0]}"
    assert "whsec" not in f"{settings!r} {settings.gateways[0]}"
