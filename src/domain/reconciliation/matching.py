"""Two lists of the same objects, each newest first, matched in bounded memory."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from domain.shared.gateway_objects import GatewayObject


class Dated(Protocol):
    @property
    def created_at(self) -> datetime: ...

    @property
    def stated(self) -> GatewayObject: ...


T = TypeVar("T", bound=Dated)
Mine = TypeVar("Mine", bound=Dated)
Yours = TypeVar("Yours", bound=Dated)


class _Reader(Generic[T]):
    """One of the lists: what was read and not matched yet, and how far into the past it has come."""

    def __init__(self, pages: AsyncIterator[Sequence[T]]) -> None:
        self._pages = pages
        self.waiting: dict[str, T] = {}
        self.reached: datetime | None = None
        self.is_done = False

    async def read(self) -> list[str]:
        """The ids of the next page."""
        page = await anext(self._pages, None)
        if page is None:
            self.is_done = True
            return []
        for one in page:
            self.waiting[one.stated.object_id] = one
            self.reached = one.created_at if self.reached is None else min(self.reached, one.created_at)
        return [one.stated.object_id for one in page]

    def let_go(self, newer_than: datetime | None) -> list[T]:
        """Those that nothing will match any more; all where no time is given."""
        gone = [key for key, one in self.waiting.items() if newer_than is None or one.created_at > newer_than]
        return [self.waiting.pop(key) for key in gone]


async def matched(
    mine: AsyncIterator[Sequence[Mine]], yours: AsyncIterator[Sequence[Yours]], *, slack: timedelta
) -> AsyncIterator[tuple[Mine | None, Yours | None]]:
    """Each object once, with its counterpart; alone where that is not within `slack` of it.

    The two sides' times of one object differ, so neither list is in the other's order. What is held is one
    page of each and what lies within `slack`, however long the lists are.
    """
    left, right = _Reader(mine), _Reader(yours)
    while not (left.is_done and right.is_done):
        # Whoever is behind reads on, so that both stay near one another in time.
        reads_left = not left.is_done and (right.is_done or not _is_past(left.reached, right.reached))
        keys = await (left.read() if reads_left else right.read())
        for key in keys:
            if key in left.waiting and key in right.waiting:
                yield left.waiting.pop(key), right.waiting.pop(key)
        edges = [one.reached for one in (left, right) if not one.is_done]
        known = [edge for edge in edges if edge is not None]
        if known and len(known) == len(edges):
            newer_than = max(known) + slack
            for alone in left.let_go(newer_than):
                yield alone, None
            for other in right.let_go(newer_than):
                yield None, other
    for alone in left.let_go(None):
        yield alone, None
    for other in right.let_go(None):
        yield None, other


def _is_past(one: datetime | None, other: datetime | None) -> bool:
    """Whether the first has come further into the past than the second."""
    if one is None:
        return False
    return other is None or one < other
