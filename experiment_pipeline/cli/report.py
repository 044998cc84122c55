"""Report of an experiment's payloads for people: a heading, who was exposed, how they were split, one table."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiment_pipeline.cli.tables import plain
from experiment_pipeline.domain.aggregates import are_unreadable
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.metrics import Aggregation, AttachedMetric, Direction, ExpectedDirection
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.domain.texts import printable, shortened
from experiment_pipeline.results.payload import (
    AnytimePayload,
    ExposuresPayload,
    MetricPayload,
    ResultsPayload,
    SplitPayload,
    VariantPayload,
)
from experiment_pipeline.stats.verdict import Verdict

VERDICT_STYLES = {
    Verdict.WINNING: "bold green",
    Verdict.OK: "green",
    Verdict.LOSING: "bold red",
    Verdict.HARMED: "bold red",
}
EXPECTATIONS = {
    ExpectedDirection.INCREASE: "expected to rise",
    ExpectedDirection.DECREASE: "expected to fall",
    ExpectedDirection.NOT_INCREASE: "must not rise",
    ExpectedDirection.NOT_DECREASE: "must not fall",
}
# Of a treatment against control.
TREATMENT_COLUMNS = ("effect", "lift", "{interval}", "chance to win", "p, all looks", "verdict")
NO_CELLS = [""] * len(TREATMENT_COLUMNS)  # of control, and of variants that are not compared
VARIANT_SHOWN = 60  # characters
WITHHELD = "–"
TOLD_ABOVE = ("split_as_configured", "values_readable")  # health checks that have lines of their own
DIGITS = 5  # of a metric's value
LEGEND = Text(
    "n: analysed identities, where a share is measured with those that have it\n"
    "effect: treatment less control; lift: relative to control, and the interval is the lift's\n"
    "chance to win: that the treatment is the better one, as far as this one look can tell\n"
    "p, all looks: of no effect, valid at every refresh at once and over all comparisons of the metric's family\n"
    "verdict: from bounds that hold at every refresh at once, so it takes more data than the chance to win\n",
    style="dim",
)


def report(experiment: Experiment, computed: ComputedTogether, health: StoredHealth | None = None) -> RenderableType:
    """Return a heading, exposures and split, then per metric and variant n, value, effect, lift, chance to win."""
    exposures: ComputationState[ExposuresPayload] = computed.exposures
    results: ComputationState[ResultsPayload] = computed.results
    heading = Text.assemble((printable(experiment.name), "bold"), f"  {experiment.key}, {experiment.status.value}")
    if exposures.payload is None and results.payload is None:
        return Group(heading, Text("Nothing has been computed yet: run a refresh.", style="yellow"), "")
    newer = [] if computed.newer is None else [Text(newer_line(computed.newer), style="yellow")]
    if exposures.payload is None or results.payload is None:
        missing = Computation.EXPOSURES if exposures.payload is None else Computation.RESULTS
        return Group(heading, *newer, Text(f"No {missing.value} to show beside: run a refresh.", style="yellow"), "")
    return Group(
        heading,
        _window_line(experiment, exposures, results),
        *newer,
        _exposures_line(exposures.payload, results.payload["srm"]),
        *_split_lines(results.payload),
        _table(experiment, results.payload),
        *_unreadable_lines(experiment, results.payload),
        *_reasons(experiment, results.payload),
        *_finding_lines(health),
        "",
    )


def newer_line(newer: Computation) -> str:
    """Return what to know where one computation was published alone since the other (`ComputedTogether.newer`)."""
    (other,) = set(Computation) - {newer}
    return f"Newer {newer.value} are published without {other.value} of the same data: a refresh completes them."


def _window_line(
    experiment: Experiment,
    exposures: ComputationState[ExposuresPayload],
    results: ComputationState[ResultsPayload],
) -> Text:
    line = Text(f"from {experiment.started_at:%Y-%m-%d %H:%M} to {results.as_of:%Y-%m-%d %H:%M} UTC", style="dim")
    line.append(f", data version {results.data_version}")
    line.append(", final" if exposures.is_final and results.is_final else "")
    if results.last_error_at is not None:
        line.append(f", last refresh failed {results.last_error_at:%Y-%m-%d %H:%M}", style="red")
    return line


def _exposures_line(exposures: ExposuresPayload, split: SplitPayload) -> Text:
    seen: Counter[str] = Counter()
    points = exposures["timeseries"]["points"]
    for point in points:
        seen.update(point["new_identities"])
    unlisted = sum(point.get("unlisted_identities", 0) for point in points)
    line = Text(f"{seen.total() + unlisted:,} identities exposed, {exposures['excluded_identities']:,} more excluded")
    line.append(" for seeing several variants" if exposures["excluded_identities"] else "")
    aside = [f"{shown(variant)} {n:,}" for variant, n in sorted(seen.items()) if variant not in split["identities"]]
    if others := exposures.get("unlisted_variants"):
        aside.append(f"{others:,} other variants {unlisted:,}")
    return line.append(f"; not compared: {', '.join(aside)}" if aside else "")


def _split_lines(results: ResultsPayload) -> Iterator[Text]:
    srm = results["srm"]
    observed = " / ".join(f"{shown(key)} {n:,}" for key, n in srm["identities"].items())
    sound, fixed, anytime = results["trustworthy"], results["srm_p_value"], srm["anytime_p_value"]
    tested = "" if fixed is None or anytime is None else f" (SRM p = {fixed:.3g}, at every look p = {anytime:.3g})"
    if sound is None or (sound and not tested):
        yield Text(f"split not tested: {readable(srm['reason'] or 'unknown')} ({observed})", style="yellow")
        return
    expected = " / ".join(f"{100 * share:.4g} %" for share in srm["expected_shares"].values())
    line = Text.assemble("split ", ("sound", "green") if sound else ("BROKEN", "bold red"))
    line.append(f": {observed}, expected {expected}{tested}")
    if not sound and srm["reason"] is not None:
        line.append(f"; {readable(srm['reason'])}", style="bold red")
    yield line
    if not sound:
        yield Text("Do not trust these numbers: nothing is called winning on such a split.", style="bold red")


def _table(experiment: Experiment, results: ResultsPayload) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("metric")
    table.add_column("variant")
    interval = f"{100 * (1 - experiment.design.alpha):g} % interval"
    *numbers, verdict = (name.format(interval=interval) for name in TREATMENT_COLUMNS)
    for name in ("n", "value", *numbers):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(verdict)
    attached = {each.metric.id: each for each in experiment.metrics}
    for metric in results["metrics"]:
        for row in _metric_rows(attached[metric["metric_id"]], metric):
            table.add_row(*row)
    return table


def _metric_rows(attached: AttachedMetric, metric: MetricPayload) -> Iterator[list[str | Text]]:
    quantity = _Quantity.of(attached, metric["variants"])
    labels = [plain(attached.metric.name), Text(f"  {_wanted(attached)}", style="dim")]
    for variant, aggregate in metric["variants"].items():
        yield [
            labels.pop(0) if labels else "",
            Text(shown(variant)),
            quantity.identities(aggregate),
            _value(quantity, aggregate),
            *(_treatment_cells(quantity, metric, variant) if variant in metric["verdict"] else NO_CELLS),
        ]


def _wanted(attached: AttachedMetric) -> str:
    """Return what the verdict is about: a guardrail's bound, the better side, or for neither what was expected."""
    if attached.expected_direction.is_guardrail or attached.metric.direction is Direction.INFORMATIONAL:
        return EXPECTATIONS[attached.expected_direction]
    return "lower is better" if attached.metric.direction is Direction.DOWN else "higher is better"


def _treatment_cells(quantity: "_Quantity", metric: MetricPayload, treatment: str) -> list[str | Text]:
    effect, inference = metric["effect"][treatment], metric["inference"][treatment]
    verdict = metric["verdict"][treatment]
    return [
        quantity.signed(effect["value"]) if effect else WITHHELD,
        f"{100 * inference['lift']:+.2f} %" if inference else WITHHELD,
        f"{100 * inference['ci_low']:+.2f} to {100 * inference['ci_high']:+.2f} %" if inference else WITHHELD,
        _chance(effect["chance_to_win"]) if effect else WITHHELD,
        _p_value(metric.get("anytime", {}).get(treatment)),
        Text(verdict.replace("_", " "), style=VERDICT_STYLES.get(verdict, "")),
    ]


def _chance(chance: float) -> str:
    """Return a chance in percent; nearly certain is not rounded to certain."""
    if chance < 0.0001:
        return "< 0.01 %"
    return "> 99.99 %" if chance > 0.9999 else f"{100 * chance:.2f} %"


def _p_value(anytime: AnytimePayload | None) -> str:
    """Return the p-value that the verdict rests on."""
    if anytime is None:
        return WITHHELD
    p_value = anytime["adjusted_p_value"]
    return "< 0.0001" if p_value < 0.0001 else f"{p_value:.4f}"


def _value(quantity: "_Quantity", aggregate: VariantPayload) -> str:
    if aggregate["sum"] is None or not aggregate["n"]:
        return WITHHELD
    return quantity.plain(aggregate["sum"] / aggregate["n"])


@dataclass(frozen=True, slots=True)
class _Quantity:
    """Format of one metric's numbers: all have the decimals that the largest one needs."""

    is_share: bool
    decimals: int | None  # None: too large or too small to be written out

    @classmethod
    def of(cls, attached: AttachedMetric, variants: Mapping[str, VariantPayload]) -> "_Quantity":
        is_share = attached.metric.aggregation is Aggregation.OCCURRENCE
        means = [abs(each["sum"]) / each["n"] for each in variants.values() if each["sum"] and each["n"]]
        magnitude = math.floor(math.log10(max(means))) if means and max(means) > 0 else 0
        written_out = -4 <= magnitude <= 14
        return cls(is_share, max(0, DIGITS - 1 - magnitude) if written_out else None)

    def identities(self, aggregate: VariantPayload) -> str:
        converted = f"{round(aggregate['sum']):,} of " if self.is_share and aggregate["sum"] is not None else ""
        return f"{converted}{aggregate['n']:,}"

    def plain(self, value: float) -> str:
        return f"{100 * value:.3f} %" if self.is_share else f"{value:{self._format}}"

    def signed(self, value: float) -> str:
        return f"{100 * value:+.3f} points" if self.is_share else f"{value:+{self._format}}"

    @property
    def _format(self) -> str:
        return f".{DIGITS - 1}e" if self.decimals is None else f",.{self.decimals}f"


def _unreadable_lines(experiment: Experiment, results: ResultsPayload) -> Iterator[Text]:
    """Say of which metric how many values were no numbers (rule E5): the table is about the others."""
    names = {each.metric.id: printable(each.metric.name) for each in experiment.metrics}
    for metric in results["metrics"]:
        values = metric.get("values", {})
        for variant, invalid in metric.get("invalid_values", {}).items():
            if invalid:
                where = f"{names[metric['metric_id']]}, {shown(variant)}"
                counts = f"{invalid:,} of {values[variant]:,} values are no numbers and do not count"
                style = "bold red" if are_unreadable(values[variant], invalid) else "yellow"
                yield Text(f"unreadable: {where}: {counts}", style=style)


def _reasons(experiment: Experiment, results: ResultsPayload) -> Iterator[Text]:
    names = {each.metric.id: printable(each.metric.name) for each in experiment.metrics}
    for metric in results["metrics"]:
        for treatment, reason in metric["reason"].items():
            if reason is not None:
                where = f"{names[metric['metric_id']]}, {shown(treatment)}"
                yield Text(f"withheld: {where}: {readable(reason)}", style="yellow")


def _finding_lines(health: StoredHealth | None) -> Iterator[Text]:
    """Say what health checks found wrong, but for what other lines say already."""
    for finding in [] if health is None else health.worst_first():
        if finding["severity"] != "ok" and finding["check"] not in TOLD_ABOVE:
            style = "bold red" if finding["severity"] == "error" else "yellow"
            yield Text(f"{finding['severity']}: {finding['title']}. {finding['detail']}", style=style)


def shown(variant: str) -> str:
    """Return a variant's key, which may be a text that a sender made up, short enough for a line."""
    return printable(shortened(variant, VARIANT_SHOWN))


def readable(reason: str) -> str:
    """Return a reason's stable word as a phrase."""
    return reason.replace("_", " ")
