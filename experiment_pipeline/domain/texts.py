"""Texts of other people (names, variants, records, file names), as they may be shown in a terminal or a page."""

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches

# Control characters, also those that turn the direction of a line round, halves of surrogate pairs, and ends of lines.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
JOINERS = "\u200c\u200d"  # of the same class; Persian words and many emoji need them


def printable(text: str) -> str:
    r"""Return a text on one line, with every character that a terminal would obey as its escape, such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(ascii(letter)[1:-1] if _is_unprintable(letter) else letter for letter in text)


def shortened(text: str, characters: int) -> str:
    """Return a text, cut where it is longer than this, with a sign that there is more."""
    return text if len(text) <= characters else f"{text[:characters]} ..."


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that was probably meant, after a space; empty where none is near."""
    near = get_close_matches(given, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def _is_unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in UNPRINTABLE and letter not in JOINERS
