"""State machines as data: the domain obeys them, the database enforces them, docs/states.md draws them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Self, TypeVar


class State(StrEnum):
    """A state and, in one sentence, what it means: `NAME = "NAME", "What is so."`."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> Self:
        state = str.__new__(cls, value)
        state._value_ = value
        state.meaning = meaning
        return state


S = TypeVar("S", bound=State)

Transitions = Mapping[S | None, Mapping[S, str]]
"""From each state the next ones, each with what leads there; None is where a new one comes from."""


def reachable(transitions: Transitions[S]) -> dict[S | None, frozenset[S]]:
    """From each state all that may follow in one step or several.

    Several steps can be one change of a row: what is recorded in one transaction is written once.
    """
    return {state: frozenset(_walk(transitions, state)) for state in transitions}


def _walk(transitions: Transitions[S], start: S | None) -> set[S]:
    seen: set[S] = set()
    ahead = list(transitions[start])
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += transitions[state]
    return seen
