"""Small SVG pictures: lines, marks and texts, escaped, for a page or as an image of its own (docs/adr/0053)."""

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.pages.tones import Tone

TEXT_SHOWN = 80  # characters of any text in a picture
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
SERIES = ("#6e7781", "#0072b2", "#d55e00", "#009474", "#a34fa3", "#9a6a14", "#d4406f", "#4a7ce0")  # control's is grey
TONES = {
    Tone.GOOD: "#1a7f37",
    Tone.BAD: "#d1242f",
    Tone.WARNING: "#a8690a",
    Tone.NEUTRAL: "#0072b2",
    Tone.QUIET: "#6e7781",
}  # each at 3 to 1 at least on white and on nearly black


class Ground(StrEnum):
    """The ground that a picture stands on.

    An image does not know whether its page is light or dark, so that it brings a white ground of its own. Within a page
    the texts have the page's colour, and there is no ground.
    """

    IMAGE = "image"
    PAGE = "page"


class Anchor(StrEnum):
    """The point of a text that stands at its place."""

    START = "start"
    MIDDLE = "middle"
    END = "end"


@dataclass(slots=True)
class Svg:
    """A picture that is being drawn. Coordinates are pixels from the top left.

    There is no style element and no style attribute: a strict Content-Security-Policy shows all of it.

    Attributes:
        title: what the picture shows, for screen readers.
    """

    width: int
    height: int
    title: str
    ground: Ground = Ground.IMAGE
    _elements: list[str] = field(default_factory=list)

    def line(self, start: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1) -> None:
        """Draw a line."""
        (x1, y1), (x2, y2) = start, end
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=width)

    def rule(self, start: tuple[float, float], end: tuple[float, float], *, dashed: bool = False) -> None:
        """Draw a line of the grid."""
        (x1, y1), (x2, y2) = start, end
        dashes = {"stroke_dasharray": "4 3"} if dashed else {}
        opacity = 0.65 if dashed else 0.25
        self._add("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=self._ink, stroke_opacity=opacity, **dashes)

    def path(self, points: Iterable[tuple[float, float]], colour: str, *, dashed: bool = False) -> None:
        """Draw a line through points."""
        places = " ".join(f"{_number(x)},{_number(y)}" for x, y in points)
        dashes = {"stroke_dasharray": "5 4", "stroke_width": 1} if dashed else {"stroke_width": 2}
        self._add("polyline", points=places, fill="none", stroke=colour, stroke_linejoin="round", **dashes)

    def dot(self, place: tuple[float, float], colour: str, radius: float = 3) -> None:
        """Draw a dot."""
        self._add("circle", cx=place[0], cy=place[1], r=radius, fill=colour)

    def arrow(self, place: tuple[float, float], towards: tuple[int, int], colour: str) -> None:
        """Draw the head of an arrow, for what goes on beyond the edge; `towards` is a step of 1 or 0 each way."""
        (x, y), (dx, dy), size = place, towards, 4
        corners = ((x + size * dx, y + size * dy), (x + size * dy, y + size * dx), (x - size * dy, y - size * dx))
        points = " ".join(f"{_number(each_x)},{_number(each_y)}" for each_x, each_y in corners)
        self._add("polygon", points=points, fill=colour)

    def text(
        self,
        place: tuple[float, float],
        text: str,
        *,
        anchor: Anchor = Anchor.START,
        size: int = 12,
        bold: bool = False,
    ) -> None:
        """Write a text, whoever made it up: it is escaped, and cut where it is long.

        Args:
            place: of the anchor, on the base line.
            text: on one line.
            anchor: the point of the text that stands at the place.
            size: pixels.
            bold: whether it is a heading.
        """
        attributes: dict[str, float | str] = {"x": place[0], "y": place[1], "fill": self._ink}
        attributes |= {"font_size": size} if size != 12 else {}
        attributes |= {"text_anchor": anchor.value} if anchor is not Anchor.START else {}
        attributes |= {"font_weight": "600"} if bold else {}
        attributes |= {"unicode_bidi": "isolate"} if not text.isascii() else {}
        self._elements.append(f"<text{_attributes(attributes)}>{_escaped(text)}</text>")

    def __str__(self) -> str:
        """Return the picture as one element."""
        title = _escaped(self.title)
        ground = '<rect width="100%" height="100%" rx="6" fill="#fff"/>' if self.ground is Ground.IMAGE else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" '
            f'height="{self.height}" font-family="{html.escape(FONT)}" font-size="12" role="img" aria-label="{title}">'
            f"<title>{title}</title>{ground}{''.join(self._elements)}</svg>"
        )

    @property
    def _ink(self) -> str:
        return "#1f2328" if self.ground is Ground.IMAGE else "currentColor"

    def _add(self, name: str, **attributes: float | str) -> None:
        self._elements.append(f"<{name}{_attributes(attributes)}/>")


def data_uri(picture: str) -> str:
    """Return a picture as an address that Markdown and HTML show without loading anything."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"


def _attributes(attributes: dict[str, float | str]) -> str:
    return "".join(
        f' {name.replace("_", "-")}="{html.escape(value) if isinstance(value, str) else _number(value)}"'
        for name, value in attributes.items()
    )


def _number(value: float) -> str:
    """Return a coordinate in as few characters as it needs."""
    return f"{value:.1f}".removesuffix(".0")


def _escaped(text: str) -> str:
    """Return a text as XML may hold it: the two characters that are none are replaced, too."""
    shown = printable(shortened(text, TEXT_SHOWN)).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    return html.escape(shown)
