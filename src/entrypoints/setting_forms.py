"""The forms in which settings may be written, in the environment and in the file, brought into one."""

import re
from collections.abc import Collection, Mapping
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import msgspec

from entrypoints.refusals import SettingsInvalid

_DATABASE_SCHEMES = ("postgresql", "postgres")
_SCHEMES = {
    "database_url": _DATABASE_SCHEMES,
    "orders_database_url": _DATABASE_SCHEMES,
    "payments_database_url": _DATABASE_SCHEMES,
    "listen_database_url": _DATABASE_SCHEMES,
    "orders_listen_database_url": _DATABASE_SCHEMES,
    "payments_listen_database_url": _DATABASE_SCHEMES,
    "migration_database_url": _DATABASE_SCHEMES,
    "orders_migration_database_url": _DATABASE_SCHEMES,
    "payments_migration_database_url": _DATABASE_SCHEMES,
    "orders_url": ("https",),
    "payments_url": ("https",),
    "redis_url": ("redis", "rediss"),
    "broker_url": ("amqp", "amqps", "redis", "rediss"),
    "stripe_api_base": ("https", "http"),
    "return_url": ("https", "http"),
    "smtp_url": ("smtp", "smtps"),
    "shop_url": ("https", "http"),
    "fulfilment_url": ("https", "http"),
}


def normalize(values: dict[str, Any], sources: Mapping[str, str], *, of_account: Collection[str]) -> None:
    """Check addresses, and bring what may be written in several ways into one form. Raises SettingsInvalid.

    `of_account` are the settings of a gateway account that are not its plug-in's own.
    """
    for key, schemes in _SCHEMES.items():
        if key in values:
            values[key] = _address(values[key], schemes, sources[key])
    if isinstance(values.get("log_level"), str):
        values["log_level"] = values["log_level"].upper()
    if "cors_origins" in values:
        values["cors_origins"] = _origins(values["cors_origins"], sources["cors_origins"])
    if "trusted_proxies" in values:
        values["trusted_proxies"] = _networks(values["trusted_proxies"], sources["trusted_proxies"])
    for key in ("trusted_issuers", "check_back_callers", "refund_policy", "repair_policy"):
        if isinstance(values.get(key), str):
            values[key] = _json(values[key], sources[key])
    if "gateways" in values:
        values["gateways"] = _accounts(values["gateways"], sources["gateways"], of_account)


def _json(text: str, source: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise SettingsInvalid(f"{source} is not JSON ({error}).") from error


def _items(value: object) -> object:
    """What the environment writes with commas, and the file as a list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _origins(value: object, source: str) -> object:
    items = _items(value)
    for item in items if isinstance(items, list) else []:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", str(item)):
            raise SettingsInvalid(f"{source}: {item!r} is not an origin like https://shop.example.")
    return items


def _networks(value: object, source: str) -> object:
    items = _items(value)
    try:
        if isinstance(items, list):
            items = [str(ip_network(item)) for item in items]
    except ValueError as error:
        raise SettingsInvalid(f"{source}: {error}.") from error
    return items


def _accounts(value: object, source: str, of_account: Collection[str]) -> list[dict[str, Any]]:
    """Each account with what is its plug-in's own put aside."""
    if isinstance(value, str):
        value = _json(value, source)
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise SettingsInvalid(f"{source} is not a list of accounts.")
    names = [one.get("name") for one in value]
    for name in names:
        if names.count(name) > 1:
            raise SettingsInvalid(f"{source} names two accounts {name}.")
    return [
        {key: part for key, part in one.items() if key in of_account}
        | {"own": {key: part for key, part in one.items() if key not in of_account}}
        for one in value
    ]


def _address(value: object, schemes: tuple[str, ...], source: str) -> str:
    wanted = " or ".join(f"{scheme}://…" for scheme in schemes)
    wrong = SettingsInvalid(f"{source} is not an address of the form {wanted}.")
    if not isinstance(value, str):
        raise wrong
    try:
        parts = urlsplit(value)
        complete = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        raise wrong from None
    if not complete:
        raise wrong
    if parts.scheme == "postgres":  # SQLAlchemy knows the long spelling only
        return "postgresql" + value.removeprefix("postgres")
    return value
