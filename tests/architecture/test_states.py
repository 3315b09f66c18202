"""docs/states.md is what the transition tables say, and the tables are whole."""

from docs.draw_states import DOCS, files
from domain.orders.states import ORDER_TRANSITIONS
from domain.orders.webhooks.delivery import DELIVERY_TRANSITIONS
from domain.payments.dispute_status import DISPUTE_TRANSITIONS
from domain.payments.states import (
    INTENT_TRANSITIONS,
    OPERATION_TRANSITIONS,
    REFUND_TRANSITIONS,
)
from domain.shared.states import S, State, Transitions, reachable
from tests.architecture.source import ROOT


def test_the_committed_drawings_are_those_of_the_tables() -> None:
    drawn = files()
    committed = [ROOT / "docs" / "states.md", *(DOCS / "states").iterdir()]
    assert sorted(committed) == sorted(drawn)
    stale = [path.name for path, content in drawn.items() if path.read_text(encoding="utf-8") != content]
    assert stale == [], "run `make states`"


def test_every_state_is_explained_and_can_come_about() -> None:
    _check(INTENT_TRANSITIONS)
    _check(REFUND_TRANSITIONS)
    _check(OPERATION_TRANSITIONS)
    _check(DISPUTE_TRANSITIONS)
    _check(ORDER_TRANSITIONS)
    _check(DELIVERY_TRANSITIONS)


def _check(transitions: Transitions[S]) -> None:
    states = [state for state in transitions if state is not None]
    assert set(states) == set(type(states[0]))
    assert reachable(transitions)[None] == set(states)
    for state in states:
        assert isinstance(state, State)
        assert state.meaning.endswith("."), state
        assert state.meaning.count(". ") == 0, f"{state}: one sentence"
    assert all(why for steps in transitions.values() for why in steps.values())
