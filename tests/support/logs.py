"""Commands configure the logs of the process: a test that runs one within its own gives them back."""

import logging
from collections.abc import Iterator

import structlog


def restored() -> Iterator[None]:
    """To be made a fixture, with `autouse`."""
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before[0], before[1]
    structlog.reset_defaults()
