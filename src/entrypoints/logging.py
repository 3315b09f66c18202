"""Structured logs: one JSON object a line on stderr, without secrets or personal data.

The ids of the work at hand (`request_id`, `order_id`, `payment_id`) come from structlog's
context variables: `with structlog.contextvars.bound_contextvars(order_id=…)`.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK = "***"
PUBLIC_STATEMENT = "audit_anchor"
"""The key of a statement that we sign to be kept and shown: it has a token's form, and opens nothing."""

# A key with one of these words in it, whatever its spelling, never shows its value.
_SECRET_KEY = re.compile(
    r"secret|passw|authori[sz]ation|token(?!_id)|api_?key|private|signature|cookie|card_?number|cvc|cvv"
    r"|e?-?mail|phone|address|customer_name|full_name|birth",
    re.IGNORECASE,
)
_SECRET_TEXTS = (
    re.compile(r"\b(?:sk|rk)_(?:test|live)_\w+"),  # Stripe's secret and restricted keys
    re.compile(r"\bwhsec_[\w+/=]+"),
    re.compile(r"\b(?:pi|seti)_\w+_secret_\w+"),  # client secrets
    re.compile(r"\bey[\w-]{8,}\.[\w-]+\.[\w-]*"),  # JWTs
    re.compile(r"(?i)\bbearer\s+[^\s\"',]+"),
    re.compile(r"(?<=://)[^/\s@]*:[^/\s@]+(?=@)"),  # user:password in an address
    re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),  # e-mail addresses
)
# One look that finds none of these in nearly every text, in place of eight.
_SUSPECT = re.compile(
    r"@|://|bearer|whsec_|_(?:test|live|secret)_|ey[\w-]{8,}\.|\d(?:[ -]?\d){12}", re.IGNORECASE
)
_LONG_NUMBER = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")

# Libraries that tell of each request what we tell ourselves, with addresses in it.
_QUIET = ("httpx", "httpcore", "stripe", "urllib3", "asyncio", "dramatiq.broker", "pika", "uvicorn.access")


def configure_logging(level: str, form: Literal["json", "console"]) -> None:
    """Send our own logs and those of all libraries to stderr in one form. May be called again."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer(serializer=_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask what looks like a secret, a card number or personal data, at any depth.

    A last line of defence: nobody should log these in the first place.
    """
    return {key: _masked(key, value) for key, value in event.items()}


def _masked(key: str, value: Any) -> Any:
    if key == PUBLIC_STATEMENT:
        return value
    if value is not None and not isinstance(value, bool) and _SECRET_KEY.search(key):
        return MASK
    if isinstance(value, str):
        return masked_text(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return MASK if value > 10**12 and _is_card_number(str(value)) else value
    if isinstance(value, Mapping):
        return {inner: _masked(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", item) for item in value]
    if value is None or isinstance(value, bool | float) or key.startswith("_"):
        return value  # keys with an underscore are structlog's own, for the formatter
    return masked_text(str(value))


def masked_text(text: str) -> str:
    """The text with every secret, e-mail address and card number in it masked."""
    if _SUSPECT.search(text) is None:
        return text
    for pattern in _SECRET_TEXTS:
        text = pattern.sub(MASK, text)
    return _LONG_NUMBER.sub(lambda found: MASK if _is_card_number(found[0]) else found[0], text)


def _is_card_number(text: str) -> bool:
    """Whether its digits pass Luhn's check (ISO/IEC 7812-1), as all card numbers do."""
    digits = [int(character) for character in text if character.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _json(event: EventDict, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()
