"""Texts of other people: nothing in them is obeyed, and everything in them can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_pipeline.domain.texts import printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Checkout [b] :smile: \\ 100 %", "Checkout [b] :smile: \\ 100 %"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("one\r\ntwo\tthree\x00\x7f", "one\\r\\ntwo\\tthree\\x00\\x7f"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb\u2066c\u200fd", "a\\u202eb\\u2066c\\u200fd"),
        ("a\u2028b\u2029c\ufeffd", "a\\u2028b\\u2029c\\ufeffd"),
        ("\udcff", "\\udcff"),
        ("東京\u3000ünï \U0001f468\u200d\U0001f469", "東京\u3000ünï \U0001f468\u200d\U0001f469"),
        ("نامه\u200cها", "نامه\u200cها"),
        ("", ""),
    ],
)
def test_printable__what_a_terminal_would_obey__is_its_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable__any_text__is_one_line_that_stays_as_it_is(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    shown.encode()


def test_shortened__a_long_text__says_that_there_is_more() -> None:
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "abc ...")
