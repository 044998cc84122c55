"""Pictures: the payload's numbers at their places, small, and whole with any name and any number of anything."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from experiment_pipeline.pages.looks import PlannedLookView
from experiment_pipeline.pages.metrics import Estimate, ReadingName
from experiment_pipeline.pages.pictures import (
    FOREST,
    exposures_picture,
    forest_picture,
    looks_picture,
    planned_looks_picture,
)
from experiment_pipeline.pages.split import ExposuresView
from experiment_pipeline.pages.svg import Ground
from experiment_pipeline.pages.view import ExperimentView, ResultsView
from tests.pages.published import AS_OF, HOSTILE, START, subject, view_of
from tests.pages.test_svg import NAMESPACE, root_of

EVEN = {"control": 0.5, "b": 0.5}
FEW_KB = 4_000  # bytes
LARGEST = 16_000  # bytes, of 30 metrics and 8 variants


def shown(view: ExperimentView) -> ResultsView:
    assert view.results is not None
    return view.results


def exposed(results: ResultsView) -> ExposuresView:
    assert results.exposures is not None
    return results.exposures


def pictures(view: ExperimentView, ground: Ground = Ground.IMAGE) -> Iterator[str]:
    results = shown(view)
    yield exposures_picture(exposed(results), ground)
    yield forest_picture(results.metrics, results.interval, ground=ground)
    yield forest_picture(results.metrics, results.interval, ReadingName.ANYTIME, ground)
    assert view.primary is not None
    yield looks_picture(view.looks, view.primary, ground)


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in root_of(picture).iter(f"{NAMESPACE}text")]


def elements(picture: str, name: str) -> list[dict[str, str]]:
    return [dict(each.attrib) for each in root_of(picture).iter(f"{NAMESPACE}{name}")]


@pytest.mark.parametrize("ground", list(Ground))
def test_pictures__of_an_experiment__are_a_few_kb_each(ground: Ground) -> None:
    for picture in pictures(view_of(subject()), ground):
        assert len(picture.encode()) <= FEW_KB
    for picture in pictures(view_of(subject(metrics=30, treatments=7)), ground):
        assert len(picture.encode()) <= LARGEST


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_pictures__names_of_other_people__are_shortened_and_escaped(name: str) -> None:
    for picture in pictures(view_of(subject(name=name))):
        root = root_of(picture)
        drawn = {"svg", "title", "rect", "text", "line", "polyline", "polygon", "circle"}
        assert {element.tag.removeprefix(NAMESPACE) for element in root.iter()} <= drawn
        assert not [each for element in root.iter() for each in element.attrib if each.startswith(("on", "href"))]
        assert len(picture.encode()) <= FEW_KB


def test_exposures__lines__end_at_the_counts_beside_the_configured_shares() -> None:
    results = shown(view_of(subject()))
    picture = exposures_picture(exposed(results))
    assert {"control 2,000 (50.0 %, expected 50 %)", "b 2,000 (50.0 %, expected 50 %)"} <= set(texts(picture))
    solid, dashed = elements(picture, "polyline")[:2]
    assert ("stroke-dasharray" in solid, "stroke-dasharray" in dashed) == (False, True)
    assert solid["points"] == dashed["points"], "the split is as configured"
    odd = replace(exposed(results), cumulative={**exposed(results).cumulative, "b": (100,) * 10})
    solid, dashed, *_ = elements(exposures_picture(odd), "polyline")
    assert solid["points"] != dashed["points"]


def test_exposures__of_nobody_of_one_bucket_and_of_many__are_pictures() -> None:
    nobody = ExposuresView("", "day", (), {"control": (), "b": ()}, EVEN)
    assert "Nobody was exposed yet." in texts(exposures_picture(nobody))
    one = ExposuresView("", "day", (START,), {"control": (3,), "b": (0,)}, EVEN)
    assert "control 3 (100.0 %, expected 50 %)" in texts(exposures_picture(one))
    hours = tuple(datetime.fromtimestamp(START.timestamp() + 3600 * hour, START.tzinfo) for hour in range(2_000))
    many = ExposuresView("", "hour", hours, {"control": tuple(range(2_000)), "b": tuple(range(2_000))}, EVEN)
    picture = exposures_picture(many)
    assert len(picture) <= FEW_KB
    assert "control 1,999 (50.0 %, expected 50 %)" in texts(picture), "the last point is drawn"


def test_forest__intervals__lie_on_the_side_of_their_numbers() -> None:
    results = shown(view_of(subject()))
    picture = forest_picture(results.metrics, results.interval)
    assert "Lifts against control with the 95 % interval" in texts(picture)
    assert {"bought", "+50.00 %", "winning", "no effect"} <= set(texts(picture))
    primary = results.metrics[0].comparisons["b"].plain.lift_estimate
    assert primary is not None
    assert f"{100 * primary.high:+.3g} %" in texts(picture), "the scale ends with the longest interval"
    middle = sum(FOREST) / 2
    for interval in elements(picture, "line")[:1]:
        assert middle < float(interval["x1"]) < float(interval["x2"]) <= FOREST[1]


def test_forest__one_interval_far_longer_than_the_others__is_cut_with_an_arrow() -> None:
    results = shown(view_of(subject(metrics=4)))
    first, *others = results.metrics
    control, treatment = first.arms
    assert treatment.comparison is not None
    wide = replace(treatment.comparison.plain, lift_estimate=Estimate(0.5, -90.0, 90.0))
    wider = replace(first, arms=(control, replace(treatment, comparison=replace(treatment.comparison, plain=wide))))
    assert not elements(forest_picture(results.metrics, results.interval), "polygon")
    assert len(elements(forest_picture([wider, *others], results.interval), "polygon")) == 2


def test_forest__withheld__has_its_row_without_an_interval() -> None:
    results = shown(view_of(subject(metrics=1)))
    (first,) = results.metrics
    control, treatment = first.arms
    assert treatment.comparison is not None
    plain = replace(treatment.comparison.plain, lift_estimate=None, lift="–")
    nothing = replace(first, arms=(control, replace(treatment, comparison=replace(treatment.comparison, plain=plain))))
    picture = forest_picture([nothing], results.interval)
    assert {"bought", "–"} <= set(texts(picture))
    assert len(elements(picture, "line")) == 1, "the line of no effect"
    assert elements(forest_picture([], results.interval), "line") == []


def test_forest__more_rows_than_fit__are_counted() -> None:
    results = shown(view_of(subject(metrics=30)))
    assert "and 6 more in the table" in texts(forest_picture(results.metrics, results.interval))
    assert not [each for each in texts(forest_picture(results.metrics, "", rows=30)) if "more" in each]


def test_looks__interval_of_each__and_the_threshold_of_the_verdict() -> None:
    view = view_of(subject())
    assert view.primary is not None
    picture = looks_picture(view.looks, view.primary)
    (threshold,) = [line for line in elements(picture, "line") if "stroke-dasharray" in line]
    intervals = [line for line in elements(picture, "line") if "stroke-dasharray" not in line]
    assert len(intervals) == 5
    assert {"no effect", "b", "winning", "2026-03-07 00:00", "2026-03-11 00:00"} <= set(texts(picture))
    newest = intervals[-1]
    assert float(newest["y1"]) < float(threshold["y1"]), "wholly above: y grows downwards"
    assert [float(line["x1"]) for line in intervals] == sorted(float(line["x1"]) for line in intervals)


def test_looks__without_an_interval__say_so() -> None:
    view = view_of(subject())
    assert view.primary is not None
    older = [replace(look, primary={}) for look in view.looks]
    assert "No look has this interval." in texts(looks_picture(older, view.primary))
    assert "No look has this interval." in texts(looks_picture([], view.primary))


def test_looks__more_treatments_than_panels__are_counted() -> None:
    view = view_of(subject(treatments=7))
    assert view.primary is not None
    assert "and 3 more treatments" in texts(looks_picture(view.looks, view.primary))


def test_planned_looks__cross_their_boundary() -> None:
    looks = [
        PlannedLookView("b", number, AS_OF, z=1.6 * number, boundary=4 - number, crossed=1.6 * number > 4 - number)
        for number in (1, 2)
    ]
    picture = planned_looks_picture(looks)
    assert "b: z = +3.20 at look 2, crossed" in texts(picture)
    z, upper, lower = (
        [float(y) for y in re.findall(r",([\d.]+)", line["points"])] for line in elements(picture, "polyline")
    )
    assert (z[0] > upper[0], z[1] < upper[1]) == (True, True), "below the boundary at first, then above"
    assert lower > upper
    assert "No planned look was taken yet." in texts(planned_looks_picture([]))
    unbounded = [replace(each, boundary=None) for each in looks]
    assert len(elements(planned_looks_picture(unbounded), "polyline")) >= 1
