"""How `payonce outbox` writes ages, times and keys, and what it takes for a time."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from adapters.system.clock import SystemClock
from entrypoints.cli.operators import When
from entrypoints.cli.outbox_show import Show, age, time
from entrypoints.cli.printer import camel
from outbox.status import DeadGroup, Retried


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-0.3, "0.0 s"),
        (0.04, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (7 * 3600 + 300, "7 h 5 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
    ],
)
def test_an_age_is_written_in_its_two_largest_units(seconds: float | None, text: str) -> None:
    assert age(seconds) == text


def test_a_time_is_written_to_the_millisecond() -> None:
    assert time(datetime(2026, 3, 1, 12, 0, 5, 6789, UTC)) == "2026-03-01 12:00:05.006Z"
    assert time(None) == "–"


def test_keys_are_written_in_camel_case_at_every_depth() -> None:
    assert camel({"last_round": [{"took_seconds": 1, "at": None}]}) == {
        "lastRound": [{"tookSeconds": 1, "at": None}]
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_time_without_a_zone_is_utc(given: str, expected: datetime) -> None:
    assert When().convert(given, None, None) == expected


@pytest.mark.parametrize(
    ("given", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(7)),
    ],
)
def test_an_age_is_so_long_ago(given: str, span: timedelta) -> None:
    before = SystemClock().now() - span
    assert before <= When().convert(given, None, None) <= SystemClock().now() - span


@pytest.mark.parametrize("given", ["", "yesterday", "2x", "-1h", "2026-13-01"])
def test_another_one_is_refused(given: str) -> None:
    with pytest.raises(click.BadParameter):
        When().convert(given, None, None)


def test_a_cause_is_printed_as_it_is_whatever_it_looks_like(capsys: pytest.CaptureFixture[str]) -> None:
    cause = "KeyError: [red]boo[/] [/nothing] \\"
    group = DeadGroup("orders", cause, cause, 4, 1, None, None, (), ("a[1]",))
    Show(False).dead([group])
    Show(False).retried(Retried(0, ["a[/]"]))
    printed = capsys.readouterr().out
    assert printed.count(cause) == 2
    assert "streams: a[1]\n" in printed
    assert "✗ a[/] cannot" in printed
