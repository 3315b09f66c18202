"""What a gateway's report is worth, or what became of it."""

from enum import Enum, auto


class Verdict(Enum):
    RECORDED = auto()
    NOTHING_NEW = auto()
    FETCH = auto()
    """It may be old or lacks what we need: fetch the object and record that, while the version stands."""
