"""Texts of other people (names, variants, records, file names), as they may be shown in a terminal or a page."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches

# Control characters, also those that turn the direction of a line round, halves of surrogate pairs, and ends of lines.
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
NAME_SHOWN = 60  # characters of a name in a sentence
ALIKE = 0.63  # of two names, by `difflib`: "usr" and "userid" are, "country" and "amount" are not
JOINERS = "\u200c\u200d"  # of the same class; Persian words and many emoji need them


def printable(text: str) -> str:
    r"""Return a text on one line, with every character that a terminal would obey as its escape, such as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(ascii(letter)[1:-1] if _is_unprintable(letter) else letter for letter in text)


def shortened(text: str, characters: int) -> str:
    """Return a text, cut where it is longer than this, with a sign that there is more."""
    return text if len(text) <= characters else f"{text[:characters]} ..."


def quoted(name: str) -> str:
    """Return a name of somebody else in quotes, on one line, cut where it is long: spaces at its ends can be seen."""
    return f"'{printable(shortened(name, NAME_SHOWN))}'"


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that was probably meant, after a space; empty where none is near."""
    near = get_close_matches(given, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def is_same_but_spelling(one: str, other: str) -> bool:
    """Return whether two different names are the same but for case, spaces and the Unicode form of their letters."""
    return one != other and _bare(one) == _bare(other)


def nearest(given: str, known: Iterable[str], names: int = 3) -> list[str]:
    """Return the known names that are nearest to one, the nearest first; case, spaces and separators count little."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for name in known:
        spellings[_letters(name)].append(name)
    near = get_close_matches(_letters(given), list(spellings), n=names, cutoff=ALIKE)
    return [name for letters in near for name in spellings[letters]][:names]


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _letters(text: str) -> str:
    return "".join(letter for letter in _bare(text) if letter.isalnum())


def _is_unprintable(letter: str) -> bool:
    return unicodedata.category(letter) in UNPRINTABLE and letter not in JOINERS
