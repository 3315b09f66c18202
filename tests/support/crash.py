"""Death between any two steps: ports whose n-th durable step is the last thing that a process does."""

import inspect
from dataclasses import dataclass
from typing import Any, Self


class Crash(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Fuse:
    """Burns a bit before and after each call of a port, and ends everything at `length`."""

    length: int
    burnt: int = 0
    last: str = ""

    def burn(self, where: str) -> None:
        self.burnt += 1
        self.last = where
        if self.burnt == self.length:
            raise Crash(where)

    def attach(self, port: Any) -> Any:
        return _Fused(port, self, type(port).__name__)


class _Fused:
    """A port, a unit of work or one of its repositories."""

    def __init__(self, port: Any, fuse: Fuse, name: str) -> None:
        self._port, self._fuse, self._name = port, fuse, name

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if inspect.iscoroutinefunction(attribute):
            return self._fused(attribute, f"{self._name}.{name}")
        if type(attribute).__name__.startswith("Memory"):
            return self._fuse.attach(attribute)
        return attribute

    def _fused(self, method: Any, where: str) -> Any:
        async def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn(f"before {where}")
            result = await method(*arguments, **named)
            self._fuse.burn(f"after {where}")
            return result

        return call

    async def __aenter__(self) -> Self:
        await self._port.__aenter__()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._port.__aexit__(*details)  # a dead process's transaction is rolled back too
