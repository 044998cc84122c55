"""Plans of experiments as pages show them: how many identities and days, by the number of variants."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiment_pipeline.domain.metrics import Mean, Metric
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.quantities import WITHHELD, a_day
from experiment_pipeline.results.reasons import in_words
from experiment_pipeline.results.sample_plan import PlanPayload, ReadingPayload, SamplePayload


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan for so many variants, by a test that is looked at once or by the verdict. Texts are for tables.

    Attributes:
        looked_at: "once" or "every look".
        sample: identities and days for the mde; empty without one.
        detects: the smallest lift that is found after each of the weeks.
    """

    variants: str
    looked_at: str
    sample: tuple[str, ...]
    detects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanReadingView:
    """One reading of the metric, adjusted or not, with its cap and floor or without."""

    title: str
    rows: tuple[PlanRow, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan.

    Attributes:
        metric: its name.
        measured: what the plan is made from.
        settings: alpha, power and traffic.
        mde: "5 %"; empty without one.
        days: after which `detects` has lifts.
        withheld: why numbers are withheld; empty where none are.
    """

    metric: str
    measured: str
    settings: str
    mde: str
    days: tuple[int, ...]
    readings: tuple[PlanReadingView, ...]
    withheld: str


def plan_view(plans: Sequence[PlanPayload], metric: Metric, experiment_key: str | None) -> PlanView:
    """Return the plans of one metric.

    Args:
        plans: of one request, one for each number of variants; at least one.
        metric: the metric.
        experiment_key: of the experiment whose identities were measured; None for everybody, or where it is deleted.
    """
    first = plans[0]
    measured = first["measured"]
    who = _who(measured["experiment_id"], experiment_key)
    traffic = "unknown" if first["traffic"] is None else f"{a_day(first['traffic'])} new identities a day"
    reason = next((reason for plan in plans for reason in _reasons(plan) if reason), None)
    return PlanView(
        metric=printable(first["metric"]),
        measured=f"measured by a {measured['source']} over {who}, {measured['started_at']} to {measured['as_of']}",
        settings=f"alpha {first['alpha']:g}, power {first['power']:g}, traffic: {traffic}",
        mde="" if first["mde"] is None else f"{100 * first['mde']:g} %",
        days=tuple(each["days"] for each in first["readings"][0]["detectable"]),
        readings=tuple(
            PlanReadingView(_title(reading, metric), tuple(_rows(plans, position)))
            for position, reading in enumerate(first["readings"])
        ),
        withheld="" if reason is None else in_words(reason),
    )


def _who(experiment_id: int | None, key: str | None) -> str:
    if experiment_id is None:
        return "everybody"
    return f"a deleted experiment, {experiment_id}" if key is None else f"experiment {key}"


def _title(reading: ReadingPayload, metric: Metric) -> str:
    words = []
    if reading["adjusted"] or (isinstance(metric.statistic, Mean) and metric.statistic.covariate_before is not None):
        words.append("adjusted for the pre-period" if reading["adjusted"] else "not adjusted")
    if any(each.cap is not None or each.floor is not None for each in metric.measures):
        words.append("with cap and floor" if reading["capped"] else "without cap and floor")
    title = ", ".join(words) or "as it is declared"
    return f"{title}: {reading['level']:,.6g}, standard deviation {reading['standard_deviation']:,.6g}"


def _rows(plans: Sequence[PlanPayload], position: int) -> Iterator[PlanRow]:
    for plan in plans:
        reading, variants = plan["readings"][position], str(plan["variants"])
        once = [_percent(each["once"]) for each in reading["detectable"]]
        every_look = [_percent(each["every_look"]) for each in reading["detectable"]]
        has_mde = plan["mde"] is not None
        yield PlanRow(variants, "once", _sample_cells(reading["once"]) if has_mde else (), tuple(once))
        yield PlanRow(
            variants, "every look", _sample_cells(reading["every_look"]) if has_mde else (), tuple(every_look)
        )


def _sample_cells(sample: SamplePayload | None) -> tuple[str, str]:
    if sample is None or sample["identities"] is None:
        return WITHHELD, WITHHELD
    days = sample["days"]
    return f"{sample['identities']:,}", WITHHELD if days is None else f"{days:,.1f}"


def _percent(share: float | None) -> str:
    return WITHHELD if share is None else f"{100 * share:.3g} %"


def _reasons(plan: PlanPayload) -> Iterator[str | None]:
    for reading in plan["readings"]:
        yield from (each["reason"] for each in (reading["once"], reading["every_look"]) if each is not None)
        yield from (each["reason"] for each in reading["detectable"])
