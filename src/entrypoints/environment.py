"""The one reader of the environment: it makes the `Settings` of a process.

Each field of `Settings` is read from the variable `PAYONCE_<FIELD>` or from the key of the same
name (lower case) in the TOML file that `PAYONCE_CONFIG` names; the environment wins. A wrong or
unknown one stops the start with one sentence that names it.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from adapters.mail.shop import ORDER_ID
from adapters.services.identities import SERVICES
from adapters.standard_webhooks.addresses import AddressRefused
from adapters.standard_webhooks.signing import SecretInvalid, key_of
from domain.reconciliation.policy import PolicyWrong, RepairPolicy
from entrypoints.refusals import SettingsInvalid as SettingsInvalid
from entrypoints.setting_forms import normalize
from entrypoints.settings import PREFIX, AccountSettings, Settings

CONFIG_VARIABLE = "PAYONCE_CONFIG"
# Variables of the test-suite, which is no part of the application.
TEST_PREFIX = "PAYONCE_TEST_"

_PATH = re.compile(r"\$\.(\w+)\.?([^`]*)")
"""A setting in msgspec's path of a fault, and what is wrong inside of it."""

_OF_ACCOUNT = frozenset(AccountSettings.__struct_fields__) - {"own"}


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of this environment (and of the file that its `PAYONCE_CONFIG` names).

    Raises SettingsInvalid. Its message never holds the value of a secret.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}  # field → how the operator calls it
    config = environ.get(CONFIG_VARIABLE)
    if config:
        for key, value in _read_file(Path(config)).items():
            values[key] = value
            sources[key] = f"{key} in {config}"
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable.startswith(TEST_PREFIX):
            continue
        key = variable.removeprefix(PREFIX).lower()
        values[key] = text
        sources[key] = variable
    _check_names(sources)
    normalize(values, sources, of_account=_OF_ACCOUNT)
    settings = _convert(values, sources)
    _check_issuers(settings)
    if settings.inbox_retention_days <= settings.outbox_retention_days:
        # Or anti-entropy would ask for events that the inbox has forgotten, and park them all.
        raise SettingsInvalid(
            f"{PREFIX}INBOX_RETENTION_DAYS must be more than {PREFIX}OUTBOX_RETENTION_DAYS: "
            f"{settings.inbox_retention_days} is not more than {settings.outbox_retention_days}."
        )
    if settings.smtp_url and settings.mail_from is None:
        raise SettingsInvalid(f"{PREFIX}SMTP_URL needs {PREFIX}MAIL_FROM, the address that mails come from.")
    if settings.shop_url is not None and ORDER_ID not in settings.shop_url:
        raise SettingsInvalid(f"{PREFIX}SHOP_URL has no {ORDER_ID} in it, the place of the order's id.")
    _check_fulfilment(settings)
    try:
        RepairPolicy(settings.repair_policy)
    except PolicyWrong as error:
        raise SettingsInvalid(f"{PREFIX}REPAIR_POLICY is wrong: {error}.") from error
    settings.internal_tls()  # or it would be found out only once something serves
    return settings


def _check_issuers(settings: Settings) -> None:
    known = [settings.issuer, *SERVICES]
    if settings.issuer in SERVICES:
        raise SettingsInvalid(
            f"{PREFIX}ISSUER must not be {settings.issuer}: so a service signs its own calls."
        )
    for trusted in settings.trusted_issuers:
        if trusted.issuer in known:
            raise SettingsInvalid(
                f"{PREFIX}TRUSTED_ISSUERS names {trusted.issuer} twice, or our own issuer, or a service of ours."
            )
        if not (trusted.jwks_url.startswith("https://") or trusted.allow_http):
            raise SettingsInvalid(
                f"{PREFIX}TRUSTED_ISSUERS: the keys of {trusted.issuer} must come by https, or allow_http be set."
            )
        known.append(trusted.issuer)


def _check_fulfilment(settings: Settings) -> None:
    if bool(settings.fulfilment_url) != bool(settings.fulfilment_secret):
        raise SettingsInvalid(
            f"{PREFIX}FULFILMENT_URL and {PREFIX}FULFILMENT_SECRET are set together, or neither is."
        )
    if not settings.fulfilment_url:
        return
    try:
        key_of(settings.fulfilment_secret.reveal())
    except SecretInvalid as error:
        raise SettingsInvalid(f"{PREFIX}FULFILMENT_SECRET is wrong: {error}.") from error
    try:
        settings.webhook_addresses().check_url(settings.fulfilment_url.reveal())
    except AddressRefused as error:
        raise SettingsInvalid(f"{PREFIX}FULFILMENT_URL is refused: {error}.") from error


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"{CONFIG_VARIABLE}: {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid(f"{CONFIG_VARIABLE}: {path} is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(f"{CONFIG_VARIABLE}: {path} is not TOML ({error}).") from error


def _check_names(sources: Mapping[str, str]) -> None:
    for key, source in sources.items():
        if key in Settings.__struct_fields__:
            continue
        close = difflib.get_close_matches(key, Settings.__struct_fields__, n=1)
        hint = ""
        if close:
            name = PREFIX + close[0].upper() if source.startswith(PREFIX) else close[0]
            hint = f"; did you mean {name}?"
        raise SettingsInvalid(f"{source} is not a setting{hint or '.'}")


def _convert(values: Mapping[str, Any], sources: Mapping[str, str]) -> Settings:
    try:
        return msgspec.convert(values, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        key, inner = _PATH.findall(path)[0]
        if inner:  # inside of an account, or of a policy
            raise SettingsInvalid(f"{sources[key]} is wrong at {inner}: {_lowered(text)}.") from error
        raise SettingsInvalid(f"{sources[key]} is wrong: {_in_words(key, text)}.") from error


def _decode(wanted: type, value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("Expected `str`")
    if not value:
        raise ValueError("It must not be empty")
    return wanted(value)


def _in_words(key: str, text: str) -> str:
    hint = get_type_hints(Settings)[key]
    choices = get_args(hint)
    if choices and all(isinstance(choice, str) for choice in choices):
        return "it must be one of " + ", ".join(choices)
    return _lowered(text)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
