"""The refund policy in the settings: read whole, refused with one sentence, and described field by field."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.payments.refund_policy import Beyond, Limits, Ruling, Usage
from domain.shared.callers import Caller
from entrypoints.environment import load_settings
from entrypoints.refund_policy import DEFAULT_POLICY, LimitSettings, RefundPolicySettings, RuleSettings
from entrypoints.refusals import SettingsInvalid

PAGE = (Path(__file__).parents[3] / "docs" / "refunds.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.split("```toml\n", 1)[1].split("```", 1)[0]


def policy(written: Any) -> RefundPolicySettings:
    return load_settings({"PAYONCE_REFUND_POLICY": json.dumps(written)}).refund_policy


def test_the_page_s_example_is_read_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "payonce.toml").write_text(EXAMPLE, encoding="utf-8")
    read = load_settings({"PAYONCE_CONFIG": str(tmp_path / "payonce.toml")}).refund_policy.policy()
    assert read.reasons == frozenset({"damaged", "late", "goodwill"})
    assert read.waits == timedelta(days=14)
    service, leads, support = read.rules
    assert service.subjects == frozenset({"orders"})
    assert service.limits == Limits()
    assert leads.scopes == frozenset({"refunds:create", "role:lead"})
    assert leads.approves.per_refund == {"EUR": 500000}
    assert (support.max_age, support.beyond_age, support.above_limits) == (
        timedelta(days=180),
        Beyond.APPROVE,
        Beyond.APPROVE,
    )


def test_the_page_describes_every_field_and_no_other() -> None:
    fields = {*RefundPolicySettings.__struct_fields__, *RuleSettings.__struct_fields__}
    tables = PAGE.split("| field of the policy |", 1)[1].split("Without a policy of yours", 1)[0]
    named = {
        name for row in re.findall(r"^\| (`[^|]*) \|", tables, re.MULTILINE) for name in row.split("`")[1::2]
    }
    assert named == fields
    assert set(LimitSettings.__struct_fields__) <= fields


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"rules": []}, "is wrong at rules: expected `array` of length >= 1."),
        ([], "is wrong: expected `object`, got `array`."),
        ({"rules": [{"name": "a", "per_dya": {}}]}, "is wrong at rules[0]: object contains unknown field"),
        ({"rules": [{"name": "a", "per_day": {"EUX": 1}}]}, "is wrong at rules[0]: 'EUX' is no currency"),
        (
            {"rules": [{"name": "a", "per_day": {"EUR": -1}}]},
            "is wrong at rules[0].per_day[...]: expected `int` >= 0.",
        ),
        (
            {"rules": [{"name": "a", "beyond_age": "x"}]},
            "is wrong at rules[0].beyond_age: invalid enum value 'x'.",
        ),
        ({"rules": [{"name": "a"}, {"name": "a"}]}, "is wrong: two rules are called a."),
        (
            {"rules": [{"name": "a", "scopes": []}]},
            "is wrong at rules[0].scopes: expected `array` of length >= 1.",
        ),
        ({"rules": [{"name": "a"}], "reasons": []}, "is wrong at reasons: expected `array` of length >= 1."),
        ({"rules": [{"name": "a"}], "approval_days": 0}, "is wrong at approval_days: expected `int` >= 1."),
    ],
)
def test_a_wrong_policy_stops_the_start_with_one_sentence(written: Any, told: str) -> None:
    with pytest.raises(SettingsInvalid) as error:
        policy(written)
    assert str(error.value).startswith(f"PAYONCE_REFUND_POLICY {told}")


def test_what_is_no_json_is_told_too() -> None:
    with pytest.raises(SettingsInvalid, match="PAYONCE_REFUND_POLICY is not JSON"):
        load_settings({"PAYONCE_REFUND_POLICY": "rules"})


def test_by_default_everybody_has_limits_and_the_order_service_none() -> None:
    assert load_settings({}).refund_policy == DEFAULT_POLICY
    default = DEFAULT_POLICY.policy()
    person = Caller(subject="ann", scopes=frozenset({"refunds:create"}))
    through_orders = Caller(subject="ann", scopes=person.scopes, actor="orders")
    for who in (person, through_orders):
        rule = default.rule_of(who)
        assert rule
        for amount, currency, ruling in (
            (100_000, "EUR", Ruling.ALLOWED),
            (100_001, "EUR", Ruling.NEEDS_APPROVAL),
            (1, "BHD", Ruling.NEEDS_APPROVAL),
        ):
            assert rule.decide(amount, currency, age=timedelta(days=999), used=Usage()).ruling is ruling
        assert rule.limits.per_day == {
            currency: 50 * amount for currency, amount in (rule.limits.per_refund or {}).items()
        }
    service = default.rule_of(Caller(subject="orders", scopes=person.scopes))
    assert service
    assert service.limits == Limits()
