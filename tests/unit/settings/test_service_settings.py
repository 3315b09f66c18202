"""The settings of one service alone: what it needs of the other, and of whom it lets in."""

from pathlib import Path

import pytest

from adapters.security.keys import create_keys
from adapters.security.tls import TlsFiles
from domain.payments.check_back import CheckBack
from domain.shared.callers import Caller
from entrypoints.composition.outside import Outside
from entrypoints.composition.services import build_links
from entrypoints.environment import load_settings
from entrypoints.settings import Settings, SettingsInvalid

TLS = {"PAYONCE_TLS_CERT": "a.pem", "PAYONCE_TLS_KEY": "a.key", "PAYONCE_TLS_CLIENT_CA": "ca.pem"}


def test_an_internal_listener_is_given_whole() -> None:
    settings = load_settings({**TLS, "PAYONCE_INTERNAL_PORT": "8443"})
    assert settings.internal_tls() == TlsFiles(Path("a.pem"), Path("a.key"), Path("ca.pem"))
    assert load_settings({}).internal_tls() is None
    with pytest.raises(SettingsInvalid, match="PAYONCE_INTERNAL_PORT is not set"):
        load_settings(TLS)
    for missing in TLS:
        given = {name: value for name, value in TLS.items() if name != missing}
        with pytest.raises(SettingsInvalid, match=f"{missing} is not set"):
            load_settings({**given, "PAYONCE_INTERNAL_PORT": "8443"})


@pytest.mark.parametrize("name", ["PAYONCE_ORDERS_URL", "PAYONCE_PAYMENTS_URL"])
def test_the_other_service_is_reached_by_https_alone(name: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name} is not an address of the form https://"):
        load_settings({name: "http://orders.internal:8443"})


@pytest.mark.parametrize("issuer", ["orders", "payments"])
def test_the_services_names_are_no_issuers_for_others(issuer: str) -> None:
    with pytest.raises(SettingsInvalid, match="PAYONCE_ISSUER must not be"):
        load_settings({"PAYONCE_ISSUER": issuer})
    other = f'[{{"issuer": "{issuer}", "audience": "shop", "jwks_url": "https://login.test/jwks"}}]'
    with pytest.raises(SettingsInvalid, match="a service of ours"):
        load_settings({"PAYONCE_TRUSTED_ISSUERS": other})


def test_a_service_alone_is_told_where_the_other_is(tmp_path: Path) -> None:
    keys = create_keys(tmp_path / "keys.json")
    assert build_links(Settings(), keys, Outside()).present == []
    with pytest.raises(SettingsInvalid, match="PAYONCE_PAYMENTS_URL is not set"):
        build_links(Settings(service="orders"), keys, Outside())
    with pytest.raises(SettingsInvalid, match="PAYONCE_ORDERS_URL is not set"):
        build_links(Settings(service="payments"), keys, Outside())
    with pytest.raises(SettingsInvalid, match="PAYONCE_SERVICE_CLIENT_CERT is not set"):
        build_links(Settings(service="orders", payments_url="https://payments.test"), keys, Outside())


def test_what_is_wanted_of_whom() -> None:
    callers = '[{"policy": "off", "issuer": "orders"}, {"policy": "both", "subject": "pos"}]'
    settings = load_settings(
        {"PAYONCE_CHECK_BACK": "snapshot", "PAYONCE_CHECK_BACK_CALLERS": callers, "PAYONCE_ISSUER": "us"}
    )
    policy = settings.check_back_policy()
    assert policy.of(Caller("orders", frozenset(), issuer="orders")) is CheckBack.OFF
    assert policy.of(Caller("pos", frozenset(), issuer="us")) is CheckBack.BOTH
    assert policy.of(Caller("pos", frozenset(), issuer="https://login.test")) is CheckBack.SNAPSHOT
    with pytest.raises(SettingsInvalid, match="PAYONCE_CHECK_BACK is wrong"):
        load_settings({"PAYONCE_CHECK_BACK": "never"})
