"""The checkers against fabricated violations: each finds its own, and nothing in what is sound."""

from uuid import UUID

import pytest

from tests.simulation.outbox import checkers
from tests.simulation.outbox.checkers import Fact, Held, LogRow, Place, Stream


def fact(stream: str, sequence: int | None, number: int | None = None) -> Fact:
    return Fact(UUID(int=number or (sequence or 0) + 100 * ord(stream[0])), stream, sequence)


def held(event: Fact, *, parked: bool = False, due: bool = False, cause: str | None = None) -> Held:
    return Held(event, parked, due, attempts=1, cause=cause)


A1, A2, A3, A4 = (fact("a", n) for n in (1, 2, 3, 4))
B1 = fact("b", 1)
SOUND = [A1, B1, A2, A3]


def test_effects_of_committed_events_are_no_ghosts() -> None:
    assert checkers.ghosts(SOUND, SOUND) == []


def test_an_effect_of_a_rolled_back_event_is_a_ghost() -> None:
    assert len(checkers.ghosts([A1, A2], [A1])) == 1


def test_an_effect_under_another_id_is_a_ghost() -> None:
    assert len(checkers.ghosts([fact("a", 1, number=7)], [A1])) == 1


def test_two_effects_of_one_event_are_doubled() -> None:
    assert checkers.doubled(SOUND) == []
    assert len(checkers.doubled([A1, A2, A1])) == 1


@pytest.mark.parametrize(
    ("effects", "skipped", "wrong"),
    [
        (SOUND, [], 0),
        ([A2, A1], [], 1),
        ([A1, A3], [], 1),
        ([A2], [], 1),
        ([A1, A1], [], 1),
        ([A1, A3, A4], [A2], 0),
        ([A3], [A1, A2], 0),
        ([A1, A4], [A2], 1),
        ([A1, A2, A3], [fact("a", 2, number=9)], 0),  # a rival of the same number was skipped
    ],
)
def test_effects_out_of_order_or_with_a_gap_are_inverted(
    effects: list[Fact], skipped: list[Fact], wrong: int
) -> None:
    assert len(checkers.inverted(effects, skipped)) == wrong


@pytest.mark.parametrize(
    ("streams", "wrong"),
    [
        ({"a": Stream(3, None), "b": Stream(1, None)}, 0),
        ({"a": Stream(4, None), "b": Stream(1, None)}, 1),
        ({"a": Stream(2, None), "b": Stream(0, None)}, 2),
        ({"a": Stream(3, None)}, 1),
        ({"a": Stream(3, None), "b": Stream(1, None), "c": Stream(1, None)}, 1),
    ],
)
def test_a_place_that_is_not_what_took_effect_is_misplaced(streams: dict[str, Stream], wrong: int) -> None:
    assert len(checkers.misplaced(streams, [A1, B1, A2], [A3])) == wrong


@pytest.mark.parametrize(
    ("waiting", "wrong"),
    [
        ([held(A2, parked=True), held(A3), held(A4)], 0),
        ([held(A2, parked=True), held(A3)], 1),  # the fourth is nowhere
        ([held(A2), held(A3), held(A4)], 3),  # wait for nothing
        ([held(A3, parked=True), held(A2), held(A4)], 1),
        ([], 3),
    ],
)
def test_what_is_not_applied_must_stand_behind_a_parked_event(waiting: list[Held], wrong: int) -> None:
    assert len(checkers.lost([A1, A2, A3, A4, B1], [A1], [B1], waiting)) == wrong


def test_what_waits_in_a_forked_stream_is_not_lost() -> None:
    assert len(checkers.lost([A1, A2], [A1], [], [held(A2)])) == 1
    assert checkers.lost([A1, A2], [A1], [], [held(A2)], ["a"]) == []
    assert len(checkers.lost([A1, A2], [A1], [], [], ["a"])) == 1


def test_an_event_whose_number_took_effect_under_another_id_was_mistaken() -> None:
    rival = fact("a", 2, number=9)
    assert checkers.mistaken([A1, A2], [A1, A2], []) == []
    assert len(checkers.mistaken([A1, rival], [A1, A2], [])) == 1
    assert checkers.mistaken([A1, rival], [A1, A2], ["a"]) == []


def test_a_parked_event_must_have_been_at_fault_and_have_a_cause() -> None:
    parked = [held(A1, parked=True, cause="RuntimeError: no"), held(A2, due=True)]
    assert checkers.blamed(parked, {A1.id}) == []
    assert checkers.unexplained(parked) == []
    assert len(checkers.blamed(parked, {A2.id})) == 1
    assert len(checkers.unexplained([held(A1, parked=True, cause="")])) == 1


def test_what_was_committed_must_be_published_in_order_and_nothing_else() -> None:
    assert checkers.unpublished(SOUND, {f.id for f in SOUND}) == []
    assert len(checkers.unpublished(SOUND, {A1.id, B1.id, A3.id})) == 1
    assert checkers.invented([A1], SOUND) == []
    assert len(checkers.invented([A4], SOUND)) == 1
    assert checkers.published_out_of_order([A1, A2, B1, A1, A2, A3]) == []  # repeats
    assert len(checkers.published_out_of_order([A1, A3, A2])) == 1


def place(base: str, target: str | None = None, last: int = 0, **restored: int | str) -> Place:
    highest = int(restored.get("highest", 0))
    old = restored.get("old_base")
    return Place(0, base, target, last, highest, int(restored.get("up_to", 0)), str(old) if old else None)


@pytest.mark.parametrize(
    ("where", "passed"),
    [
        (place("10:10:"), False),  # row: position 5, transaction 10
        (place("10:11:"), True),
        (place("9:11:9,10"), False),
        (place("9:11:9"), True),
        (place("5:6:", "10:11:", 4), False),
        (place("5:6:", "10:11:", 5), True),
        (place("5:6:", "10:11:10", 9), False),
        (place("10:11:", up_to=4), True),
        (place("1:1:", up_to=5), True),  # the restored rows are all done
        (place("1:1:", last=4, up_to=5, old_base="1:1:"), False),
        (place("1:1:", last=5, up_to=5, old_base="1:1:"), True),
        (
            place("1:1:", last=4, up_to=5, old_base="10:11:"),
            False,
        ),  # visible, but beyond what was passed there
        (place("1:1:", last=4, up_to=5, old_base="10:11:", highest=5), True),
    ],
)
def test_a_cursor_that_has_passed_what_was_not_published_ran_ahead(where: Place, passed: bool) -> None:
    row = LogRow(A1.id, lane=0, position=5, xid=10)
    assert len(checkers.run_ahead([where], [row], set())) == passed
    assert checkers.run_ahead([where], [row], {A1.id}) == []
    assert checkers.run_ahead([where], [LogRow(A1.id, 1, 5, 10)], set()) == []  # another lane
