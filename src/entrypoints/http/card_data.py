"""Card numbers must not reach us: a body that holds one is refused before anything is kept.

PCI DSS applies to whoever stores, processes or transmits them. What counts as one: 13 to 19 digits,
with spaces, dashes or the like between them, that pass Luhn's check (ISO/IEC 7812-1) and begin like
the cards of a known network with that many digits. The last condition keeps long numbers of other
kinds out (ids, timestamps, order numbers), nine in ten of which Luhn's check lets go already.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

# The issuer ranges and lengths that the networks publish, as https://en.wikipedia.org/wiki/Payment_card_number
# collects them. Maestro's and UnionPay's are left as wide as they are used.
_NETWORKS = re.compile(
    "|".join(
        (
            r"4(?:\d{12}|\d{15}|\d{18})",  # Visa
            r"(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}",  # Mastercard
            r"3[47]\d{13}",  # American Express
            r"3(?:0[0-5]|09|[689]\d)\d{11,16}",  # Diners Club
            r"35(?:2[89]|[3-8]\d)\d{12,15}",  # JCB
            r"6(?:011|4[4-9]\d|5\d\d)\d{12,15}",  # Discover, RuPay
            r"(?:62|81)\d{14,17}",  # UnionPay
            r"(?:5018|5020|5038|5893|6304|6759|676[1-3])\d{9,15}",  # Maestro
            r"220[0-4]\d{12,15}",  # Mir
            r"9792\d{12}",  # Troy
            r"(?:506[01]|650[0-2]|507[89])\d{12,15}",  # Verve, Elo
        )
    )
)

_GAP = r"[\s.,\-_/\u00b7\u2010-\u2015\u2212\u200b-\u200f\u2060\ufeff]{0,3}"
_RUN = re.compile(rf"\+?(?:[0-9]{_GAP}){{12,}}[0-9]")
# Names that machines give: a UUID, a hexadecimal digest, our own ids. One UUID in two thousand would
# have a stretch of digits that passes for a card number. They have a letter, as no card number has.
_MACHINE_NAME = re.compile(
    r"(?<![0-9a-z])(?=[0-9\-]{0,36}[a-z])"
    r"(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24,128}|[a-z]{3}_[0-9a-z]{26})(?![0-9a-z])",
    re.IGNORECASE,
)
_PHONE_DIGITS = 15  # ITU-T E.164: the most digits that a telephone number behind its plus may have
_GROUP = re.compile(r"[0-9]+")
_MIN_DIGITS, _MAX_DIGITS = 13, 19
_FIRST_DIGITS = frozenset("2345689")  # of the networks above
# Digit d counts double in every second place, and the digits of the double are summed.
_DOUBLED = bytes.maketrans(b"0123456789", b"\x00\x02\x04\x06\x08\x01\x03\x05\x07\x09")
_SINGLE = bytes.maketrans(b"0123456789", bytes(range(10)))


def contains_card_number(text: str) -> bool:
    """Whether a card number stands anywhere in the text, in whatever digits Unicode has."""
    if not text.isascii():
        text = "".join(_plain_digit(character) for character in text)
    if not _RUN.search(text):
        return False
    text = _MACHINE_NAME.sub("x", text)
    return any(_is_card_number(digits) for run in _RUN.finditer(text) for digits in _candidates(run[0]))


def _plain_digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def _candidates(run: str) -> Iterator[str]:
    """The digits of every stretch of whole groups that is as long as a card number and passes Luhn's check.

    Groups, because an expiry date may stand behind the number; whole, because a piece of a longer
    number is not a card number. The check's sums are taken once for the whole run, so that a body
    full of digits costs little.
    """
    groups = _GROUP.findall(run)
    digits = "".join(groups)
    if run.startswith("+") and len(digits) <= _PHONE_DIGITS:
        return
    sums = _luhn_sums(digits)
    borders = set(accumulate(map(len, groups), initial=0))
    for start in borders:
        if digits[start : start + 1] not in _FIRST_DIGITS:
            continue
        for end in range(start + _MIN_DIGITS, start + _MAX_DIGITS + 1):
            # Which of the two sums counts follows from where the last digit, the check digit, stands.
            if end in borders and (sums[end % 2][end] - sums[end % 2][start]) % 10 == 0:
                yield digits[start:end]


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Luhn's sums of all beginnings: with every odd place single (by index), and with every even one."""
    encoded = digits.encode()
    odd, even = bytearray(encoded.translate(_DOUBLED)), bytearray(encoded.translate(_SINGLE))
    odd[1::2], even[1::2] = even[1::2], odd[1::2]
    return list(accumulate(odd, initial=0)), list(accumulate(even, initial=0))


def _is_card_number(digits: str) -> bool:
    """Whether a number that passes Luhn's check is one of a known network."""
    # Visa's 13-digit numbers are long gone, while every article number of Germany (EAN-13, GTIN)
    # has 13 digits and begins with 4: what is a valid article number passes as one.
    return bool(_NETWORKS.fullmatch(digits)) and not (len(digits) == 13 and _is_article_number(digits))


def _is_article_number(digits: str) -> bool:
    """GS1's check digit: https://www.gs1.org/services/how-calculate-check-digit-manually"""
    values = digits.encode().translate(_SINGLE)
    return (sum(values[0::2]) + 3 * sum(values[1::2])) % 10 == 0
