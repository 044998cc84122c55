"""The parts of pictures: well-formed and escaped, whatever the texts are, and legible on any ground."""

import base64
from xml.etree import ElementTree as ET

import pytest

from experiment_pipeline.pages.svg import SERIES, TEXT_SHOWN, TONES, Ground, Svg, data_uri
from tests.pages.published import HOSTILE

NAMESPACE = "{http://www.w3.org/2000/svg}"
LIGHT, DARK = "#ffffff", "#16181d"
LEAST_CONTRAST = 3.0  # WCAG 2.2, 1.4.11: of graphics


def root_of(picture: str) -> ET.Element:
    """Return a picture as a parser reads it: it is refused where it is not well-formed."""
    return ET.fromstring(picture)  # noqa: S314 - it is ours


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_colours__on_light_and_dark__can_be_told_from_the_ground(ground: str) -> None:
    assert {colour: each for colour in (*SERIES, *TONES.values()) if (each := contrast(colour, ground)) < 3.0} == {}


@pytest.mark.parametrize("ground", list(Ground))
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_svg__text_of_other_people__is_text_and_short(text: str, ground: Ground) -> None:
    picture = Svg(100, 50, text, ground)
    picture.text((1, 2), text)
    root = root_of(str(picture))
    assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= {"svg", "title", "rect", "text"}
    (shown,) = root.iter(f"{NAMESPACE}text")
    assert shown.text is not None
    assert len(shown.text) <= 6 * TEXT_SHOWN, "a control character is six at most"
    assert not {"\n", "\x00", "\u202e", "\ufffe", "\uffff"} & set(shown.text)
    assert str(picture).isprintable()


def test_svg__for_a_page__has_the_pages_colour_and_no_style_that_a_strict_policy_hides() -> None:
    for ground in Ground:
        picture = Svg(100, 50, "t", ground)
        picture.text((1, 2), "x", bold=True)
        picture.rule((0, 0), (1, 1), dashed=True)
        picture.path([(0, 0), (1, 1)], SERIES[0])
        assert "style" not in str(picture)
        assert ("currentColor" in str(picture)) is (ground is Ground.PAGE)
        assert ('fill="#fff"' in str(picture)) is (ground is Ground.IMAGE)


def test_data_uri__holds_the_picture_and_needs_no_other_address() -> None:
    picture = str(Svg(10, 10, "é"))
    head, encoded = data_uri(picture).split(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(encoded).decode() == picture
