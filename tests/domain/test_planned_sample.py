"""What is said of a design: settings without effect, and planned samples that hardly reach the floors."""

import dataclasses

import pytest

from experiment_pipeline.domain.design_warnings import design_warnings
from experiment_pipeline.domain.experiments import Design, Experiment, Variant, VariantRole
from experiment_pipeline.domain.floors import Floors
from experiment_pipeline.domain.measures import Aggregation, Events, Measure, Missing
from experiment_pipeline.domain.metrics import Funnel, Mean, Quantile, Ratio, Retention, Statistic, mean_of_version_1
from experiment_pipeline.domain.planned_sample import floor_warnings, planned_deviation
from experiment_pipeline.settings import Settings
from tests.results.subjects import CONTROL, EVEN, PURCHASE, experiment

TENTH = (CONTROL, Variant("b", VariantRole.TREATMENT, 10))


def subject(design: Design, aggregation: Aggregation = Aggregation.OCCURRENCE, *, tenth: bool = False) -> Experiment:
    metric = dataclasses.replace(PURCHASE, statistic=mean_of_version_1("purchase", aggregation))
    return experiment(TENTH if tenth else EVEN, metric, design=design)


def list_of(subject: Experiment, floors: Floors) -> list[str]:
    return list(floor_warnings(subject, floors))


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (Design(), []),
        (Design(mde=0.1, baseline=0.05), []),
        (Design(power=0.9), ["design.power: changes nothing without mde"]),
        (Design(n_looks=5), ["design.n_looks: changes nothing without mde and baseline"]),
        (
            Design(power=0.9, n_looks=5),
            ["design.power: changes nothing without mde", "design.n_looks: changes nothing without mde and baseline"],
        ),
        (Design(baseline=0.05), ["design.baseline: changes nothing without mde"]),
        (Design(standard_deviation=2), ["design.standard_deviation: changes nothing without mde"]),
        (
            Design(mde=0.1, baseline=0.05, standard_deviation=2),
            ["design.standard_deviation: changes nothing for 'bought', a share of identities"],
        ),
        (Design(mde=0.1, baseline=5), ["design.baseline: must lie between 0 and 1"]),
    ],
)
def test_warnings__of_settings_that_change_nothing__name_them(design: Design, words: list[str]) -> None:
    found = design_warnings(subject(design), Floors())
    assert [warning[: len(word)] for warning, word in zip(found, words, strict=True)] == words


@pytest.mark.parametrize(
    ("aggregation", "mde", "baseline", "expected"),
    [
        # two-sided 5 %, 80 % power: 15.7 squared standard deviations over squared effects in an arm, and 1.6 times that
        (Aggregation.OCCURRENCE, 2.0, 0.05, 6),  # 1.6 * 15.7 * 0.95 / 4
        (Aggregation.OCCURRENCE, 1.5, 0.05, None),  # 10.6, over twice the floor of 5
        (Aggregation.SUM, 0.4, 50.0, 157),  # 1.6 * 15.7 / 0.16
        (Aggregation.SUM, 0.28, 50.0, None),  # 320, over twice the floor of 150
        (Aggregation.MEAN, 0.4, 50.0, 157),
        (Aggregation.COUNT, 0.2, 5.0, 125),  # 1.6 * 15.7 / 5 / 0.04, nearly all of them not 0
        (Aggregation.COUNT, 0.1, 5.0, None),
        (Aggregation.SUM, 1e-200, 50.0, None),  # no sample is large enough
    ],
)
def test_warnings__of_a_planned_sample_that_hardly_reaches_the_floor__say_how_many_it_brings(
    aggregation: Aggregation, mde: float, baseline: float, expected: int | None
) -> None:
    found = list_of(subject(Design(mde=mde, baseline=baseline), aggregation), Floors())
    assert len(found) == (expected is not None)
    if expected is not None:
        assert f"as few as {expected} to an arm" in found[0]
        what = "5 conversions" if aggregation is Aggregation.OCCURRENCE else "150 identities that are not 0"
        assert f"before each arm has {what}" in found[0]


EVENTS = Events("purchase")
SUM, COUNT = Measure(EVENTS, Aggregation.SUM), Measure(EVENTS, Aggregation.COUNT)


def of_statistic(statistic: Statistic, design: Design) -> list[str]:
    metric = dataclasses.replace(PURCHASE, statistic=statistic, version=2)
    return list_of(experiment(EVEN, metric, design=design), Floors())


@pytest.mark.parametrize(
    ("statistic", "whose"),
    [
        (
            Retention(Measure(EVENTS, Aggregation.OCCURRENCE)),
            "a retention. It is the share of control's identities that",
        ),
        (Funnel((EVENTS, EVENTS)), "a funnel. It is the share of control's identities that reach the last step"),
    ],
)
def test_warnings__of_a_share_of_identities__are_those_of_conversions(statistic: Statistic, whose: str) -> None:
    (few,) = of_statistic(statistic, Design(mde=2.0, baseline=0.05))
    assert "before each arm has 5 conversions" in few
    assert "as few as 6 to an arm" in few
    (no_share,) = of_statistic(statistic, Design(mde=0.1, baseline=5.0))
    assert whose in no_share


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        (Mean(Measure(EVENTS, Aggregation.DAYS)), 125),  # as counts
        (Mean(Measure(EVENTS, Aggregation.WEEKS)), 125),
        (Mean(Measure(EVENTS, Aggregation.DISTINCT)), 125),
        (Mean(Measure(EVENTS, Aggregation.MAX, Missing.ZERO)), None),  # 628 identities that are not 0
        (
            Mean(Measure(EVENTS, Aggregation.MAX)),
            None,
        ),  # the mean of values that all have tells nothing
        (Ratio(SUM, COUNT), None),
        (Quantile(0.9, EVENTS), None),
    ],
)
def test_warnings__of_other_statistics__are_given_where_the_mean_tells_what_the_sample_brings(
    statistic: Statistic, expected: int | None
) -> None:
    found = of_statistic(statistic, Design(mde=0.2, baseline=5.0))
    assert [f"as few as {expected} to an arm" in each for each in found] == [True] * (expected is not None)


def test_warnings__of_a_small_arm__are_about_what_it_gets() -> None:
    design = Design(mde=0.25, baseline=50.0)  # 402 in equal arms; 223 in an arm of a tenth of the traffic
    assert list_of(subject(design, Aggregation.SUM), Floors()) == []
    assert "as few as 223 to an arm" in list_of(subject(design, Aggregation.SUM, tenth=True), Floors())[0]


def test_warnings__follow_the_floors_of_the_installation() -> None:
    design = subject(Design(mde=0.4, baseline=50.0), Aggregation.SUM)
    assert list_of(design, Floors.of(Settings(minimum_nonzero=78))) == []
    assert list_of(design, Floors.of(Settings(minimum_nonzero=79))) != []


@pytest.mark.parametrize(
    "variants",
    [
        (CONTROL, Variant("b", VariantRole.TREATMENT, 100)),
        (CONTROL, Variant("b", VariantRole.TREATMENT, 0)),
        (CONTROL, Variant(None, VariantRole.TREATMENT, 50)),
    ],
)
def test_warnings__where_shares_say_nothing__say_nothing_of_samples(variants: tuple[Variant, ...]) -> None:
    assert list_of(experiment(variants, design=Design(mde=2.0, baseline=0.05)), Floors()) == []
    without = dataclasses.replace(experiment(design=Design(mde=2.0, baseline=0.05)), metrics=())
    assert list_of(without, Floors()) == []


@pytest.mark.parametrize(
    ("deviation", "expected"),
    [
        (50.0, 78),  # as large as the mean: half of the identities at least are not 0; 1.6 * 15.7 / 0.4^2 / 2
        (100.0, 126),  # 1.6 * 15.7 / 0.16 * 4 / (1 + 4)
        (200.0, 148),
        (1e200, None),  # no variance that can be told
    ],
)
def test_warnings__standard_deviation__tells_the_least_that_the_planned_sample_brings(
    deviation: float, expected: int | None
) -> None:
    found = list_of(subject(Design(mde=0.4, baseline=50, standard_deviation=deviation), Aggregation.SUM), Floors())
    assert [f"as few as {expected} to an arm" in warning for warning in found] == [True] * (expected is not None)


def test_planned_deviation__of_a_share__follows_from_the_baseline() -> None:
    design = Design(mde=0.1, baseline=0.2, standard_deviation=7)
    revenue = dataclasses.replace(PURCHASE, statistic=mean_of_version_1("purchase", Aggregation.SUM))
    assert planned_deviation(design, PURCHASE) == pytest.approx(0.4)
    assert planned_deviation(design, revenue) == 7
    assert planned_deviation(Design(), PURCHASE) is None
    assert planned_deviation(Design(mde=0.1, baseline=2), PURCHASE) is None
