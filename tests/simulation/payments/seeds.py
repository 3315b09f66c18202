"""Runs of a state machine that a seed decides."""

from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

PHASES = (Phase.generate,)


def run_seed(
    machine: type[RuleBasedStateMachine],
    number: int,
    *,
    examples: int,
    steps: int,
    phases: Sequence[Phase] = PHASES,
) -> None:
    """So many examples of so many steps, all of them decided by the seed. Raises what a check found."""
    bound = type(machine.__name__, (machine,), {})
    run_state_machine_as_test(
        seed(number)(bound),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            database=None,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
