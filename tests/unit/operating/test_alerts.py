"""The alert file and the operators' page name metrics that exist, and each other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from entrypoints.operating import gateway_metrics, limit_metrics
from entrypoints.operating.metrics import SAMPLE_NAMES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "operating.md").read_text(encoding="utf-8")
ALERTS = yaml.safe_load((DOCS / "alerts.yml").read_text(encoding="utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
_METRIC = re.compile(r"\bpayonce_[a-z_]+")


def test_the_file_has_the_form_of_prometheus_rules() -> None:
    assert ALERTS.keys() == {"groups"}
    for group in ALERTS["groups"]:
        assert group.keys() == {"name", "rules"}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_prometheus_accepts_the_rules() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, which comes with Prometheus, is not in the path")
    checked = subprocess.run(
        [promtool, "check", "rules", str(DOCS / "alerts.yml")], capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_rule_is_whole_and_asks_for_metrics_that_exist(rule: dict[str, object]) -> None:
    assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", str(rule.get("for", "1m")))
    assert isinstance(rule["annotations"], dict)
    assert rule["annotations"].keys() == {"summary"}
    asked = set(_METRIC.findall(str(rule["expr"])))
    assert asked
    assert asked <= SAMPLE_NAMES | gateway_metrics.SAMPLE_NAMES | limit_metrics.SAMPLE_NAMES
    # Every rule ends in a comparison with a number, but the one for nothing at all.
    assert re.search(r"(== 0|> [\d.]+)$", str(rule["expr"])) or str(rule["expr"]).startswith("absent(")
    assert str(rule["expr"]).count("(") == str(rule["expr"]).count(")")


def test_the_page_explains_every_metric_and_no_other() -> None:
    assert set(_METRIC.findall(PAGE)) == SAMPLE_NAMES


def test_the_page_says_what_to_do_for_every_alarm_and_no_other() -> None:
    assert sorted(re.findall(r"^\| (Payonce\w+) \|", PAGE, re.MULTILINE)) == sorted(
        rule["alert"] for rule in RULES
    )
