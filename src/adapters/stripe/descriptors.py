"""What may stand on a cardholder's statement.

Source: https://docs.stripe.com/get-started/account/statement-descriptors ("Statement descriptor
requirements" and "Set a dynamic suffix").
"""

import re

from domain.payments.errors import StatementDescriptorInvalid

SHORTEST_PREFIX = 2
LONGEST_PREFIX = 10
_WHOLE = 22
_BETWEEN = len("* ")
_FORBIDDEN = "<>\\'\"*"
_LETTER = re.compile("[A-Za-z]")


def check_suffix(suffix: str, *, prefix: str | None) -> None:
    """Whether `prefix* suffix` makes a descriptor; without a known prefix, whether the shortest one would.

    Raises StatementDescriptorInvalid.
    """
    most = _WHOLE - _BETWEEN - (len(prefix) if prefix else SHORTEST_PREFIX)
    if len(suffix) > most:
        raise _invalid(f"At most {most} characters fit behind the account's own part of the descriptor.")
    if not _LETTER.search(suffix):
        raise _invalid("At least one letter of A to Z is needed.")
    if not (suffix.isascii() and suffix.isprintable()):
        raise _invalid("Only Latin letters, digits and plain signs are allowed.")
    if any(character in suffix for character in _FORBIDDEN):
        raise _invalid("None of < > \\ ' \" * is allowed.")


def _invalid(message: str) -> StatementDescriptorInvalid:
    return StatementDescriptorInvalid(message, pointer="/statementDescriptorSuffix")
