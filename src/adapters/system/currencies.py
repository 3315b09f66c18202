"""Currency data from the `iso4217` package, which is generated from the published ISO 4217 table."""

from iso4217 import Currency as IsoCurrency

from domain.shared.money import Currency

_MONEY_WITH_X = frozenset({"XAF", "XCD", "XCG", "XOF", "XPF"})

CURRENCIES: dict[str, Currency] = {
    currency.code: Currency(currency.code, currency.exponent)
    for currency in IsoCurrency
    if currency.exponent in (0, 2, 3) and (currency.code[0] != "X" or currency.code in _MONEY_WITH_X)
}
"""Without the codes that are no money to pay with: metals, units of account and tests begin with X,
indexed units have four decimals."""


class IsoCurrencies:
    def find(self, code: str) -> Currency | None:
        return CURRENCIES.get(code)
