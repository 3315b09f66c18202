"""Waiting for the first of several events."""

import asyncio


async def wait_any(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Return when one of the events is set, or after `seconds`."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
