"""The settings of webhooks of ours: a wrong one stops the start, and shows no secret."""

import pytest

from entrypoints.environment import load_settings
from entrypoints.settings import SettingsInvalid

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://warehouse.example/orders"


def test_a_warehouse_and_open_networks() -> None:
    settings = load_settings(
        {
            "PAYONCE_FULFILMENT_URL": "http://10.1.2.3/orders",
            "PAYONCE_FULFILMENT_SECRET": SECRET,
            "PAYONCE_WEBHOOK_ALLOW_PRIVATE": "10.1.0.0/16, fd12::/32",
            "PAYONCE_WEBHOOK_ALLOW_HTTP": "true",
        }
    )
    assert [str(network) for network in settings.webhook_allow_private.networks] == [
        "10.1.0.0/16",
        "fd12::/32",
    ]
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"FULFILMENT_URL": URL}, "PAYONCE_FULFILMENT_SECRET"),
        ({"FULFILMENT_SECRET": SECRET}, "PAYONCE_FULFILMENT_URL"),
        ({"FULFILMENT_URL": URL, "FULFILMENT_SECRET": "whsec_short"}, "PAYONCE_FULFILMENT_SECRET"),
        ({"FULFILMENT_URL": "https://10.0.0.1/", "FULFILMENT_SECRET": SECRET}, "PAYONCE_FULFILMENT_URL"),
        ({"FULFILMENT_URL": "http://w.example/", "FULFILMENT_SECRET": SECRET}, "PAYONCE_FULFILMENT_URL"),
        ({"WEBHOOK_ALLOW_PRIVATE": "10.0.0.1/8"}, "PAYONCE_WEBHOOK_ALLOW_PRIVATE"),
        ({"WEBHOOK_DELIVERY_RETENTION_DAYS": "0"}, "PAYONCE_WEBHOOK_DELIVERY_RETENTION_DAYS"),
    ],
)
def test_a_wrong_one_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named) as refused:
        load_settings({f"PAYONCE_{name}": value for name, value in environ.items()})
    assert SECRET not in str(refused.value)
    assert "whsec_short" not in str(refused.value)
