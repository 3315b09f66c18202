import pytest

from adapters.stripe.descriptors import check_suffix
from domain.payments.errors import StatementDescriptorInvalid


@pytest.mark.parametrize(
    ("suffix", "prefix"),
    [
        ("A", None),
        ("9-22-19 10K", "RUNCLUB"),
        ("OCT MARATHON", "RUNCLUB"),
        ("x" * 13, "RUNCLUB"),
        ("x" * 10, "RUNCLUBCLU"),
        ("x" * 18, None),
        ("ORDER #12.34/5 & C", "AB"),
    ],
)
def test_what_fits_behind_the_prefix(suffix: str, prefix: str | None) -> None:
    check_suffix(suffix, prefix=prefix)


@pytest.mark.parametrize(
    ("suffix", "prefix", "told"),
    [
        ("x" * 14, "RUNCLUB", "At most 13 characters"),
        ("x" * 11, "RUNCLUBCLU", "At most 10 characters"),
        ("x" * 19, None, "At most 18 characters"),
        ("12-34", None, "one letter"),
        ("", None, "one letter"),
        ("ДОСТАВКА", None, "one letter"),
        ("TEA чай", None, "Latin"),
        ("TEA\n2", None, "Latin"),
        ("TEA <1>", None, "None of"),
        ("TEA*2", None, "None of"),
        ("TEA\\2", None, "None of"),
        ("TEA 'N", None, "None of"),
        ('TEA "N', None, "None of"),
    ],
)
def test_what_no_statement_shows(suffix: str, prefix: str | None, told: str) -> None:
    with pytest.raises(StatementDescriptorInvalid, match=told) as refused:
        check_suffix(suffix, prefix=prefix)
    assert refused.value.pointer == "/statementDescriptorSuffix"
