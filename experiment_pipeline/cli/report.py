"""An experiment's payloads as a person reads them: one heading, one line on the split, one table."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiment_pipeline.experiments import Aggregation, AttachedMetric, Experiment
from experiment_pipeline.refresh import ComputationState

VERDICT_STYLES = {"winning": "bold green", "ok": "green", "losing": "bold red", "harmed": "bold red"}
WITHHELD = "–"


def report(experiment: Experiment, exposures: ComputationState, results: ComputationState) -> RenderableType:
    """Heading, exposures and split, then per metric and variant n, value, effect, lift, interval, chance to win."""
    heading = Text.assemble((experiment.name, "bold"), f"  {experiment.key}, {experiment.status.value}")
    if exposures.payload is None or results.payload is None:
        return Group(heading, Text("Nothing has been computed yet: run a refresh.", style="yellow"), "")
    parts: list[RenderableType] = [heading, _window_line(experiment, results)]
    parts.append(_exposures_line(exposures.payload, results.payload))
    parts.append(_table(experiment, results.payload))
    parts.extend(_reasons(experiment, results.payload))
    return Group(*parts, "")


def _window_line(experiment: Experiment, results: ComputationState) -> Text:
    line = Text(f"from {experiment.started_at:%Y-%m-%d %H:%M} to {results.as_of:%Y-%m-%d %H:%M} UTC", style="dim")
    line.append(f", data version {results.data_version}")
    line.append(", final" if results.is_final else "")
    if results.last_error_at is not None:
        line.append(f", last refresh failed {results.last_error_at:%Y-%m-%d %H:%M}", style="red")
    return line


def _exposures_line(exposures: dict[str, Any], results: dict[str, Any]) -> Text:
    identities = sum(sum(point["new_identities"].values()) for point in exposures["timeseries"]["points"])
    line = Text(f"{identities:,} identities exposed, {exposures['excluded_identities']:,} excluded; split ")
    srm = results["srm"]
    observed = " / ".join(f"{key} {n:,}" for key, n in srm["identities"].items())
    if results["trustworthy"] is None:
        return line.append(f"not tested: {readable(srm['reason'])} ({observed})", style="yellow")
    line.append(
        "sound" if results["trustworthy"] else "BROKEN", style="green" if results["trustworthy"] else "bold red"
    )
    expected = " / ".join(f"{100 * share:.4g} %" for share in srm["expected_shares"].values())
    line.append(f" ({observed}, expected {expected}; SRM p = {results['srm_p_value']:.3g}")
    return line.append(f", any-time p = {srm['anytime_p_value']:.3g})")


def _table(experiment: Experiment, results: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("metric")
    table.add_column("variant")
    for name in ("n", "value", "effect", "lift", "95 % interval", "chance to win"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    attached = {each.metric.id: each for each in experiment.metrics}
    for metric in results["metrics"]:
        for row in _metric_rows(attached[metric["metric_id"]], metric):
            table.add_row(*row)
    return table


def _metric_rows(attached: AttachedMetric, metric: dict[str, Any]) -> Iterator[list[str | Text]]:
    name = attached.metric.name
    for variant, aggregate in metric["variants"].items():
        yield [
            name,
            variant,
            f"{aggregate['n']:,}",
            _value(attached, aggregate),
            *(_treatment_cells(attached, metric, variant) if variant in metric["verdict"] else [""] * 5),
        ]
        name = ""


def _treatment_cells(attached: AttachedMetric, metric: dict[str, Any], treatment: str) -> list[str | Text]:
    effect, inference = metric["effect"][treatment], metric["inference"][treatment]
    chance = effect["chance_to_win"] if effect else None
    verdict = metric["verdict"][treatment]
    return [
        _quantity(attached, effect["value"], signed=True) if effect else WITHHELD,
        f"{100 * inference['lift']:+.2f} %" if inference else WITHHELD,
        f"{100 * inference['ci_low']:+.2f} to {100 * inference['ci_high']:+.2f} %" if inference else WITHHELD,
        f"{100 * chance:.2f} %" if chance is not None else WITHHELD,
        Text(verdict.replace("_", " "), style=VERDICT_STYLES.get(verdict, "")),
    ]


def _value(attached: AttachedMetric, aggregate: dict[str, Any]) -> str:
    if aggregate["sum"] is None or not aggregate["n"]:
        return WITHHELD
    return _quantity(attached, aggregate["sum"] / aggregate["n"])


def _quantity(attached: AttachedMetric, value: float, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    if attached.metric.aggregation is Aggregation.OCCURRENCE:
        return f"{100 * value:{sign}.3f} {'points' if signed else '%'}"
    return f"{value:{sign},.4f}"


def _reasons(experiment: Experiment, results: dict[str, Any]) -> Iterator[Text]:
    names = {each.metric.id: each.metric.name for each in experiment.metrics}
    for metric in results["metrics"]:
        for treatment, reason in metric["reason"].items():
            if reason is not None:
                where = f"{names[metric['metric_id']]}, {treatment}"
                yield Text(f"withheld: {where}: {readable(reason)}", style="yellow")


def readable(reason: str) -> str:
    """A reason's stable word as a phrase."""
    return reason.replace("_", " ")
