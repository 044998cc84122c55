"""Pictures of an experiment, a few kB each: who came, effects with their intervals, and the looks over time.

Tables beside them carry the same numbers. Each is one SVG element, for a page or as an image of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from statistics import median

from experiment_pipeline.domain.texts import shortened
from experiment_pipeline.pages.looks import LookView, PlannedLookView
from experiment_pipeline.pages.metrics import ComparisonView, Estimate, MetricView, ReadingName
from experiment_pipeline.pages.split import ExposuresView
from experiment_pipeline.pages.svg import SERIES, TONES, Anchor, Ground, Svg
from experiment_pipeline.pages.tones import Tone

WIDTH = 720
MARGIN = 12
HEADING = 20  # the base line of a picture's heading
LINE = 15  # between labels
NAME_SHOWN = 30  # characters of a name
VARIANTS_SHOWN = 8
POINTS_SHOWN = 40  # of a line
FOREST_ROWS = 24
LOOKS_SHOWN = 40
TREATMENTS_SHOWN = 4  # each has a panel of its own
ROW = 24  # of a forest plot
FOREST = (240.0, 460.0)  # pixels of the intervals of a forest plot
BEYOND = 4  # times the median: a longer interval is cut, so that the others can be seen


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers on a line of pixels; what lies beyond its ends is drawn at them."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of a number."""
        share = 0.5 if self.high <= self.low else (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether a number lies between the ends."""
        return self.low <= value <= self.high


def exposures_picture(exposures: ExposuresView, ground: Ground = Ground.IMAGE) -> str:
    """Return identities so far by compared variant over time, beside the configured split of all of them (dashed)."""
    shares = exposures.expected_shares
    shown = list(exposures.cumulative)[:VARIANTS_SHOWN]
    totals = [sum(counts) for counts in zip(*exposures.cumulative.values(), strict=True)]
    left_out = len(exposures.cumulative) - len(shown)
    picture = Svg(WIDTH, 250, "Identities so far by variant, and the configured split", ground)
    picture.text((MARGIN, HEADING), "Identities so far, and the configured split (dashed)", bold=True)
    if not totals:
        picture.text((MARGIN, 60), "Nobody was exposed yet.")
        return str(picture)
    chosen = _thinned(len(totals), POINTS_SHOWN)
    lines = {key: [exposures.cumulative[key][index] for index in chosen] for key in shown}
    expected = {key: [shares[key] * totals[index] for index in chosen] for key in shown if key in shares}
    highest = max(max(each) for each in (*lines.values(), *expected.values()))
    across, up = _times(exposures.buckets, MARGIN + 52, 380), Scale(0, max(1, highest), 210, 36)
    _axis(picture, across, up, exposures.buckets)
    moments = [across.at(exposures.buckets[index].timestamp()) for index in chosen]
    for number, key in enumerate(shown):
        colour = SERIES[number % len(SERIES)]
        _draw(picture, list(zip(moments, map(up.at, lines[key]), strict=True)), colour)
        if key in expected:
            picture.path(zip(moments, map(up.at, expected[key]), strict=True), colour, dashed=True)
    labels = [(up.at(lines[key][-1]), _share_words(key, lines[key][-1], totals[-1], shares.get(key))) for key in shown]
    for number, (place, text) in enumerate(_apart(labels)):
        _label(picture, (392, place), text, SERIES[number % len(SERIES)])
    if left_out:
        picture.text((392, 240), f"and {left_out} more variants")
    return str(picture)


def forest_picture(
    metrics: Sequence[MetricView],
    interval: str,
    reading: ReadingName | None = None,
    ground: Ground = Ground.IMAGE,
    rows: int = FOREST_ROWS,
) -> str:
    """Return the interval of every treatment on every metric, one row each, beside the line of no effect.

    Lifts share one scale. Intervals that hold at every look are in the metrics' own units, so that each row has a scale
    of its own.

    Args:
        metrics: those that are shown, the primary one first.
        interval: the name of intervals for one look: "95 % interval".
        reading: the reading that is shown; None for the one that each verdict is about, plain or adjusted.
        ground: the ground of the picture.
        rows: how many are shown at most.
    """
    compared = [(metric, key, each) for metric in metrics for key, each in metric.comparisons.items()]
    shown = [_forest_row(*each, reading) for each in compared[:rows]]
    left_out = len(compared) - len(shown)
    what = "Effects, each with the interval that holds at every look" if reading is ReadingName.ANYTIME else "Lifts"
    heading = what if reading is ReadingName.ANYTIME else f"{what} against control with the {interval}"
    height = 2 * ROW + ROW * len(shown) + (ROW if left_out else 0) + 24
    picture = Svg(WIDTH, height, heading, ground)
    picture.text((MARGIN, HEADING), heading, bold=True)
    limit = None if reading is ReadingName.ANYTIME else _limit([row.estimate for row in shown])
    for number, row in enumerate(shown):
        _draw_row(picture, row, 2 * ROW + ROW * number, limit)
    bottom = ROW + ROW * len(shown) + 14
    middle = Scale(-1, 1, *FOREST).at(0)
    if shown:
        picture.rule((middle, 32), (middle, bottom))
    at_margin = reading is ReadingName.ANYTIME and any(metric.threshold != "no effect" for metric in metrics)
    threshold = "no effect, or the margin" if at_margin else "no effect"
    picture.text((middle, bottom + 14), threshold, anchor=Anchor.MIDDLE, size=11)
    if limit is not None:
        for side, anchor in ((-1, Anchor.START), (1, Anchor.END)):
            place = Scale(-1, 1, *FOREST).at(side)
            picture.text((place, bottom + 14), f"{100 * side * limit:+.3g} %", anchor=anchor, size=11)
    if left_out:
        picture.text((MARGIN, bottom + 34), f"and {left_out} more in the table")
    return str(picture)


def looks_picture(looks: Sequence[LookView], primary: MetricView, ground: Ground = Ground.IMAGE) -> str:
    """Return the interval at every look of the primary metric over the looks, and the threshold of its verdict.

    The verdict is said once the interval lies wholly on one side of the threshold.

    Args:
        looks: newest first.
        primary: the primary metric.
        ground: the ground of the picture.
    """
    shown, panel = list(primary.comparisons)[:TREATMENTS_SHOWN], 130
    left_out = len(primary.comparisons) - len(shown)
    heading = (
        f"{shortened(primary.name, NAME_SHOWN)}: effect over the looks, with the interval that holds at every look"
    )
    picture = Svg(WIDTH, 32 + panel * max(1, len(shown)) + (20 if left_out else 0), heading, ground)
    picture.text((MARGIN, HEADING), heading, bold=True)
    in_order = looks[::-1]
    kept = [in_order[index] for index in _thinned(len(in_order), LOOKS_SHOWN)]
    for number, treatment in enumerate(shown):
        points = [(look.as_of, found) for look in kept if (found := look.primary.get(treatment)) is not None]
        _draw_panel(picture, points, primary, treatment, 32 + panel * number)
    if left_out:
        picture.text((MARGIN, picture.height - 8), f"and {left_out} more treatments")
    return str(picture)


def planned_looks_picture(planned: Sequence[PlannedLookView], ground: Ground = Ground.IMAGE) -> str:
    """Return the planned looks: the effect in standard errors at each, beside the boundary that decides (rule C8)."""
    treatments = list(dict.fromkeys(each.treatment for each in planned))[:VARIANTS_SHOWN]
    heading = "Planned looks: effect in standard errors (z), and the boundary (dashed)"
    picture = Svg(WIDTH, 220, heading, ground)
    picture.text((MARGIN, HEADING), heading, bold=True)
    if not planned:
        picture.text((MARGIN, 60), "No planned look was taken yet.")
        return str(picture)
    sizes = [abs(each.z) for each in planned] + [each.boundary for each in planned if each.boundary is not None]
    limit = 1.15 * max(1.0, *sizes)
    up = Scale(-limit, limit, 190, 36)
    across = Scale(1, max(2, *(each.number for each in planned)), 70, 440)
    for value in (0.0, round(limit / 1.15, 1), -round(limit / 1.15, 1)):
        picture.rule((60, up.at(value)), (450, up.at(value)))
        picture.text((52, up.at(value) + 4), f"{value:+.1f}" if value else "0", anchor=Anchor.END, size=11)
    for number, treatment in enumerate(treatments):
        own = [each for each in planned if each.treatment == treatment]
        colour = SERIES[(number + 1) % len(SERIES)]
        _draw(picture, [(across.at(each.number), up.at(each.z)) for each in own], colour)
        bounded = [(across.at(each.number), each.boundary) for each in own if each.boundary is not None]
        for side in (1, -1):
            picture.path([(x, up.at(side * boundary)) for x, boundary in bounded], colour, dashed=True)
        said = f"{treatment}: z = {own[-1].z:+.2f} at look {own[-1].number}{', crossed' if own[-1].crossed else ''}"
        _label(picture, (460, 44 + LINE * number), said, colour)
    for number in {planned[0].number, planned[-1].number}:
        picture.text((across.at(number), 210), f"look {number}", anchor=Anchor.MIDDLE, size=11)
    return str(picture)


@dataclass(frozen=True, slots=True)
class _ForestRow:
    """One row of a forest plot; None where the number is withheld."""

    label: str
    estimate: Estimate | None
    value: str
    verdict: str
    tone: Tone


def _forest_row(
    metric: MetricView, treatment: str, compared: ComparisonView, reading: ReadingName | None
) -> _ForestRow:
    found = compared.reading(reading or compared.decided_by)
    name = shortened(metric.name, NAME_SHOWN)
    several = len(metric.comparisons) > 1
    is_anytime = reading is ReadingName.ANYTIME
    return _ForestRow(
        label=f"{shortened(metric.name, 20)}, {shortened(treatment, 13)}" if several else name,
        estimate=found.effect_estimate if is_anytime else found.lift_estimate,
        value=found.effect if is_anytime else found.lift,
        verdict=compared.verdict_words,
        tone=compared.tone,
    )


def _draw_row(picture: Svg, row: _ForestRow, y: float, limit: float | None) -> None:
    picture.text((MARGIN, y + 4), row.label)
    picture.text((590, y + 4), row.value, anchor=Anchor.END)
    _label(picture, (602, y), row.verdict, TONES[row.tone])
    found = row.estimate
    if found is None:
        return
    own = max(abs(found.low), abs(found.high)) if limit is None else limit
    across, colour = Scale(-own, own, *FOREST), TONES[row.tone]
    picture.line((across.at(found.low), y), (across.at(found.high), y), colour, 2)
    for bound, step in ((found.low, -1), (found.high, 1)):
        x = across.at(bound)
        if across.holds(bound):
            picture.line((x, y - 4), (x, y + 4), colour, 2)
        else:
            picture.arrow((x, y), (step, 0), colour)
    if across.holds(found.value):
        picture.dot((across.at(found.value), y), colour, 4)


def _limit(estimates: Sequence[Estimate | None]) -> float:
    """Return the end of the scale that all rows share."""
    sizes = [max(abs(each.low), abs(each.high)) for each in estimates if each is not None]
    return min(max(sizes), BEYOND * median(sizes)) if sizes and max(sizes) > 0 else 1.0


def _draw_panel(
    picture: Svg, points: Sequence[tuple[datetime, Estimate]], primary: MetricView, treatment: str, top: float
) -> None:
    """Draw the looks at one treatment."""
    newest = primary.comparisons[treatment]
    picture.text((602, top + 20), shortened(treatment, 14), bold=True)
    _label(picture, (602, top + 16 + LINE), newest.verdict_words, TONES[newest.tone])
    if not points:
        picture.text((MARGIN, top + 20), "No look has this interval.")
        return
    later = [found for _, found in points[len(points) // 2 :]]  # the first intervals are wide: they would hide the rest
    low = 1.2 * min(0.0, *(each.low for each in later))
    high = 1.2 * max(0.0, *(each.high for each in later))
    up = Scale(low, high, top + 100, top + 8)
    across = _times([moment for moment, _ in points], 120, 580)
    picture.rule((112, up.at(0)), (588, up.at(0)), dashed=True)
    picture.text((106, up.at(0) + 4), primary.threshold, anchor=Anchor.END, size=11)
    for bound, side in ((max(each.high for each in later), 1), (min(each.low for each in later), -1)):
        if abs(up.at(bound) - up.at(0)) > LINE and bound * side > 0:
            picture.text((106, up.at(bound) + 4), primary.quantity.signed(bound), anchor=Anchor.END, size=11)
    for moment, found in points:
        _draw_interval(picture, across.at(moment.timestamp()), found, up, TONES[newest.tone])
    for moment, anchor in _ends([moment for moment, _ in points]):
        below = (across.at(moment.timestamp()), top + 118)
        picture.text(below, f"{moment:%Y-%m-%d %H:%M}", anchor=anchor, size=11)


def _draw_interval(picture: Svg, x: float, found: Estimate, up: Scale, colour: str) -> None:
    """Draw one look: its interval, and the effect."""
    picture.line((x, up.at(found.low)), (x, up.at(found.high)), colour, 2)
    for bound, step in ((found.low, 1), (found.high, -1)):
        if not up.holds(bound):
            picture.arrow((x, up.at(bound)), (0, step), colour)
    if up.holds(found.value):
        picture.dot((x, up.at(found.value)), colour)


def _draw(picture: Svg, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Draw a line; a dot where there is one point alone, and at its end."""
    if len(points) > 1:
        picture.path(points, colour)
    picture.dot(points[-1], colour)


def _label(picture: Svg, place: tuple[float, float], text: str, colour: str) -> None:
    """Write a text beside a dot of its colour: the text itself has the page's, which can be read on any ground."""
    picture.dot((place[0] + 4, place[1]), colour, 4)
    picture.text((place[0] + 13, place[1] + 4), text)


def _axis(picture: Svg, across: Scale, up: Scale, moments: Sequence[datetime]) -> None:
    """Draw the axes of identities over time."""
    for value in (0, up.high / 2, up.high):
        picture.rule((across.start, up.at(value)), (across.end, up.at(value)))
        picture.text((across.start - 6, up.at(value) + 4), f"{value:,.0f}", anchor=Anchor.END, size=11)
    for moment, anchor in _ends(moments):
        picture.text((across.at(moment.timestamp()), 228), f"{moment:%Y-%m-%d %H:%M}", anchor=anchor, size=11)


def _ends(moments: Sequence[datetime]) -> Iterator[tuple[datetime, Anchor]]:
    """Yield the first and the last moment; one alone where they are the same."""
    if moments[0] == moments[-1]:
        yield moments[0], Anchor.MIDDLE
        return
    yield moments[0], Anchor.START
    yield moments[-1], Anchor.END


def _times(moments: Sequence[datetime], start: float, end: float) -> Scale:
    return Scale(moments[0].timestamp(), moments[-1].timestamp(), start, end)


def _share_words(variant: str, identities: int, total: int, expected: float | None) -> str:
    observed = f"{100 * identities / total:.1f} %" if total else "–"
    wanted = "" if expected is None else f", expected {100 * expected:.4g} %"
    return f"{shortened(variant, 16)} {identities:,} ({observed}{wanted})"


def _apart(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return labels moved apart, so that none covers another; in their own order."""
    order = sorted(range(len(labels)), key=lambda index: labels[index][0])
    places = [labels[index][0] for index in order]
    for lower, upper in pairwise(range(len(places))):
        places[upper] = max(places[upper], places[lower] + LINE)
    too_low = max(0.0, places[-1] - 215) if places else 0.0
    moved = dict(zip(order, (place - too_low for place in places), strict=True))
    return [(moved[index], labels[index][1]) for index in range(len(labels))]


def _thinned(count: int, most: int) -> list[int]:
    """Return the numbers of the points that are drawn: the first, the last, and as many between as fit."""
    if count <= most:
        return list(range(count))
    return sorted({round(step * (count - 1) / (most - 1)) for step in range(most)})
