"""Report of an experiment's payloads for people: a heading, who was exposed, how they were split, the metrics."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from experiment_pipeline.cli.parts_table import PartsTable
from experiment_pipeline.cli.results_parts import note_lines, sensitivity_lines
from experiment_pipeline.cli.results_table import NEARLY_0, SMALLEST_P, ResultsTable, shown
from experiment_pipeline.domain.aggregates import are_unreadable
from experiment_pipeline.domain.experiments import CONTROL, Experiment
from experiment_pipeline.domain.floors import SHIPPED_FLOORS, Floors
from experiment_pipeline.domain.refresh import Computation, ComputationState, ComputedTogether, StoredHealth
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.results.decision import Action
from experiment_pipeline.results.metric_payload import MetricPayload
from experiment_pipeline.results.payload import ExposuresPayload, ResultsPayload, SplitPayload
from experiment_pipeline.results.reasons import in_words

ACTION_STYLES = {
    Action.SHIP: "bold green",
    Action.ROLLBACK: "bold red",
    Action.KEEP_RUNNING: "",
    Action.INCONCLUSIVE: "yellow",
}
TOLD_ABOVE = ("split_as_configured", "values_readable")  # health checks that have lines of their own


def report(
    experiment: Experiment,
    computed: ComputedTogether,
    health: StoredHealth | None = None,
    *,
    floors: Floors = SHIPPED_FLOORS,
    with_parts: bool = True,
) -> RenderableType:
    """Return a heading, exposures and split, then per metric and variant n, value, effect, lift, chance to win.

    Args:
        experiment: as it is configured.
        computed: what is published of it.
        health: the findings of its newest results.
        floors: of the installation; they are named where an arm has less.
        with_parts: show the steps, slices and breakdowns of metrics, too.
    """
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
        *_decision_lines(results.payload),
        ResultsTable(experiment, results.payload),
        *_unreadable_lines(experiment, results.payload),
        *note_lines(experiment, results.payload),
        *sensitivity_lines(experiment, results.payload),
        *_reasons(experiment, results.payload, floors),
        *([PartsTable(experiment, results.payload)] if with_parts else ()),
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
    restarted = experiment.phase > 1 or not experiment.is_in_newest_phase
    line = Text(f"phase {experiment.phase}, " if restarted else "", style="dim")
    line.append(f"from {experiment.started_at:%Y-%m-%d %H:%M} to {results.as_of:%Y-%m-%d %H:%M} UTC")
    line.append(f", data version {results.data_version}")
    line.append(", final" if exposures.is_final and results.is_final else "")
    if experiment.earlier_phases:
        line.append(f"; {len(experiment.earlier_phases)} earlier: each phase has spent its own alpha")
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
    both = None if fixed is None or anytime is None else (_p_words(fixed), _p_words(anytime))
    tested = "" if both is None else f" (SRM p {both[0]}, at every look p {both[1]})"
    if sound is None or (sound and not tested):
        yield Text(f"split not tested: {in_words(srm['reason'] or 'unknown')} ({observed})", style="yellow")
        return
    expected = " / ".join(f"{100 * share:.4g} %" for share in srm["expected_shares"].values())
    line = Text.assemble("split ", ("sound", "green") if sound else ("BROKEN", "bold red"))
    line.append(f": {observed}, expected {expected}{tested}")
    if not sound and srm["reason"] is not None:
        line.append(f"; {in_words(srm['reason'])}", style="bold red")
    yield line
    if not sound:
        yield Text("Do not trust these numbers: nothing is called winning on such a split.", style="bold red")


def _p_words(p_value: float) -> str:
    return NEARLY_0 if p_value < SMALLEST_P else f"= {p_value:.3g}"


def _decision_lines(results: ResultsPayload) -> Iterator[Text]:
    """Say what to do in one line, and of several treatments what to do with each."""
    decision = results.get("decision")
    if decision is None:
        return
    shipped = "" if decision["treatment"] is None else f" {shown(decision['treatment'])}"
    line = Text.assemble("decision ", (f"{_words(decision['action'])}{shipped}", ACTION_STYLES[decision["action"]]))
    yield line.append(f": {printable(decision['why'])} (rule {_words(decision['rule'])})")
    if len(decision["by_treatment"]) > 1:
        for key, each in decision["by_treatment"].items():
            yield Text(
                f"  {shown(key)}: {_words(each['action'])}: {printable(each['why'])} (rule {_words(each['rule'])})"
            )


def _words(name: str) -> str:
    return name.replace("_", " ")


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


def _reasons(experiment: Experiment, results: ResultsPayload, floors: Floors) -> Iterator[Text]:
    names = {each.metric.id: printable(each.metric.name) for each in experiment.metrics}
    for metric in results["metrics"]:
        for treatment, reason in metric["reason"].items():
            if reason is not None:
                where = f"{names[metric['metric_id']]}, {shown(treatment)}"
                yield Text(f"withheld: {where}: {_shortfall(reason, metric, treatment, floors)}", style="yellow")


def _shortfall(reason: str, metric: MetricPayload, treatment: str, floors: Floors) -> str:
    """Return a reason in words; of a floor, how much each arm has and how much it needs."""
    arms = (CONTROL, treatment)
    if reason == "below_minimum_identities":
        what, floor = "identities", floors.identities
        has: list[float | None] = [metric["variants"][arm]["n"] for arm in arms]
    elif reason == "below_minimum_conversions":
        what, floor = "conversions", floors.conversions
        has = [metric["variants"][arm]["sum"] for arm in arms]
    elif reason == "below_minimum_nonzero":
        floor = floors.nonzero
        what, has = _fewest_nonzero(metric, arms)
    else:
        return in_words(reason)
    counts = [f"{shown(arm)} {number:,.0f}" for arm, number in zip(arms, has, strict=True) if number is not None]
    if len(counts) < len(arms):
        return in_words(reason)
    return f"too few {what}: {', '.join(counts)}; each arm needs {floor:,}"


def _fewest_nonzero(metric: MetricPayload, arms: Sequence[str]) -> tuple[str, list[float | None]]:
    """Return which identities that are not 0 are the fewest, and how many each arm has: of a ratio those of one side.

    None where a payload that an older version wrote did not count them.
    """

    def counts(of: Mapping[str, int]) -> list[float | None]:
        return [of.get(arm) for arm in arms]

    numerators = metric.get("nonzero", {})
    if (denominators := metric.get("nonzero_denominator")) is None:
        return "identities with a value that is not 0", counts(numerators)
    fewest = min(numerators, denominators, key=lambda side: min(side.get(arm, 0) for arm in arms))
    side = "numerator" if fewest is numerators else "denominator"
    return f"identities whose {side} is not 0", counts(fewest)


def _finding_lines(health: StoredHealth | None) -> Iterator[Text]:
    """Say what health checks found wrong, but for what other lines say already."""
    for finding in [] if health is None else health.worst_first():
        if finding["severity"] != "ok" and finding["check"] not in TOLD_ABOVE:
            style = "bold red" if finding["severity"] == "error" else "yellow"
            yield Text(f"{finding['severity']}: {finding['title']}. {finding['detail']}", style=style)
