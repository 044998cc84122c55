"""Notes below the table of results: progress, bounds, waiting identities, adjusted readings, other declarations."""

from collections.abc import Iterator
from itertools import chain

from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.pages.metrics import attached_metrics
from experiment_pipeline.pages.quantities import Quantity, by_variant, chance_words, readable, shown
from experiment_pipeline.pages.tones import Line, Tone, quiet
from experiment_pipeline.results.comparison_payload import PlannedLooksPayload, ProgressPayload
from experiment_pipeline.results.families import Family
from experiment_pipeline.results.metric_payload import CappedPayload, MetricPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.results.reasons import briefly, in_words
from experiment_pipeline.results.sensitivity_payload import OtherReadingPayload

READINGS = {  # of the primary metric, declared otherwise; a newer version's go by their names
    "first": "identities of several variants counted in the first",
    "exclude": "identities of several variants left out",
    "uncapped": "no cap and no floor",
    "unadjusted": "no adjustment for the pre-period",
}


def note_lines(experiment: Experiment, results: ResultsPayload) -> Iterator[Line]:
    """Yield what the table has no column for: bounds of values, identities that wait, readings that were adjusted."""
    yield from quiet(_engine_lines(results))
    for of, metric in attached_metrics(experiment, results):
        name = printable(of.metric.name)
        for which, bounds in (
            (name, metric.get("capped")),
            (f"{name}, denominator", metric.get("capped_denominator")),
            (f"{name}, pre-period", metric.get("capped_pre_period")),
        ):
            yield from quiet(f"{which}: {line}" for line in _bound_lines(bounds))
        waiting = metric.get("identities_not_mature", {})
        if any(waiting.values()):
            yield Line(f"{name}: not counted until their window ends: {by_variant(waiting)}", Tone.QUIET)
        quantity = Quantity.of(of, metric["variants"])
        for line in chain(
            _reading_lines(metric), _progress_lines(metric), _planned_look_lines(metric), _other_lines(quantity, metric)
        ):
            yield Line(f"{name}{line}", Tone.QUIET)


def _engine_lines(results: ResultsPayload) -> Iterator[str]:
    """Yield what a warehouse does not compute, and the rows that it left out (rule N10)."""
    engine = results.get("engine")
    if engine is None:
        return
    refused = ", ".join(readable(name) for name in engine["not_computed"])
    yield f"computed in {engine['name']}, where the events lie" + (
        f"; not computed there: {refused}" if refused else ""
    )
    if rejected := engine["rejected"]:
        told = ", ".join(f"{readable(reason)} {count:,}" for reason, count in sorted(rejected.items()))
        yield f"rows left out there since they break the event contract: {told}"


def sensitivity_lines(experiment: Experiment, results: ResultsPayload) -> Iterator[Line]:
    """Yield the primary metric as it would be under other declarations, one line a treatment."""
    found = results.get("sensitivity")
    if found is None:
        return
    name = next(
        printable(of.metric.name)
        for of, _ in attached_metrics(experiment, results)
        if of.metric.id == found["metric_id"]
    )
    for treatment in next(iter(found["readings"].values()))["verdict"]:
        readings = "; ".join(
            f"{READINGS.get(label, readable(label))}: {_said(each, treatment)}"
            for label, each in found["readings"].items()
        )
        line = f"{name}, {shown(treatment)}: read with {readings}"
        if treatment in found["contradicted"]:
            yield Line(f"{line}. The readings disagree: it is not shipped.", Tone.BAD)
        else:
            yield Line(line, Tone.QUIET)


def _said(reading: OtherReadingPayload, treatment: str) -> str:
    """Return the lift of a reading, or why there is none, and its verdict."""
    lift, verdict = reading["inference"][treatment], readable(reading["verdict"][treatment])
    said = briefly(reading["reason"][treatment] or "withheld") if lift is None else f"{100 * lift['lift']:+.2f} %"
    return f"{said}, {verdict}"


def _reading_lines(metric: MetricPayload) -> Iterator[str]:
    """Yield the readings of each comparison beside the plain one of the table: adjusted, and with a prior."""
    for treatment, adjusted in metric.get("adjusted", {}).items():
        if adjusted["variance_reduction"] is not None:
            share = f"{100 * adjusted['variance_reduction']:.1f} %"
            line = f"the pre-period explains {share} of the variance; the adjusted reading decides"
        else:
            plain = "the plain reading is withheld, too" if metric["reason"][treatment] else "the plain reading decides"
            line = f"not adjusted, {in_words(adjusted['reason'] or 'unknown')}; {plain}"
        yield f", {shown(treatment)}: {line}"
    for treatment, posterior in metric.get("posterior", {}).items():
        if posterior is not None:
            low, high = 100 * posterior["ci_low"], 100 * posterior["ci_high"]
            line = f"with the prior the lift is {100 * posterior['lift']:+.2f} % ({low:+.2f} to {high:+.2f} %)"
            chance = f"chance to win {chance_words(posterior['chance_to_win'])}"
            yield f", {shown(treatment)}: {line}, {chance}; no verdict rests on it"


def _progress_lines(metric: MetricPayload) -> Iterator[str]:
    best = metric.get("chance_to_be_best") or {}
    if len(best) > 2:  # of two arms it is the chance to win
        chances = ", ".join(f"{shown(key)} {chance_words(chance)}" for key, chance in best.items())
        yield f": chance to be best: {chances}"
    for treatment, progress in metric.get("progress", {}).items():
        if progress["information_fraction"] is not None:
            yield f", {shown(treatment)}: {_progress_words(progress, progress['information_fraction'])}"


def _planned_look_lines(metric: MetricPayload) -> Iterator[str]:
    """Yield the planned look that the verdict on each treatment is read from (rule C8), or why there is none."""
    for treatment, planned in metric.get("planned_looks", {}).items():
        yield f", {shown(treatment)}: {_planned_look_words(planned)}"


def _other_lines(quantity: Quantity, metric: MetricPayload) -> Iterator[str]:
    """Yield other numbers of each comparison: distance from the margin, post-stratified effect, risk of the primary."""
    for treatment, margin in metric.get("margin", {}).items():
        if margin["value"] is not None and margin["ci_low"] is not None and margin["ci_high"] is not None:
            interval = f"{quantity.interval(margin['ci_low'], margin['ci_high'])} at every look"
            yield f", {shown(treatment)}: {quantity.signed(margin['value'])} from the margin ({interval})"
    for treatment, found in metric.get("post_stratified", {}).items():
        if found["value"] is not None and found["ci_low"] is not None and found["ci_high"] is not None:
            interval = quantity.interval(found["ci_low"], found["ci_high"])
            yield f", {shown(treatment)}: post-stratified effect {quantity.signed(found['value'])} ({interval})"
    if metric.get("family") != Family.PRIMARY:
        return
    for treatment, risk in metric.get("risk", {}).items():
        if risk is not None:
            ship, keep = quantity.unsigned(risk["if_ship"]), quantity.unsigned(risk["if_keep"])
            yield f", {shown(treatment)}: expected loss per identity {ship} if shipped, {keep} if not"


def _planned_look_words(planned: PlannedLooksPayload) -> str:
    if not planned["looks"]:
        return f"no planned look of {planned['n_looks']} was taken: {in_words(planned.get('reason', 'unknown'))}"
    last = planned["looks"][-1]
    boundary = "no boundary" if last["boundary"] is None else f"boundary {last['boundary']:.2f}"
    return (
        f"the verdict is that of planned look {last['number']} of {planned['n_looks']}, at "
        f"{100 * last['information_fraction']:.1f} % of the planned evidence: z = {last['z']:+.2f}, {boundary}"
    )


def _progress_words(progress: ProgressPayload, fraction: float) -> str:
    """Return how far the planned end is."""
    needed, left = progress["identities_needed"], progress["days_left_at_current_traffic"]
    words = f"{100 * fraction:.1f} % of the planned evidence"
    if needed is not None and fraction < 1:
        words += f", all of it at about {needed:,} identities of both variants"
    if left is None:
        return f"{words}; time left unknown: {in_words(progress.get('reason', 'unknown'))}"
    return (
        f"{words}; about {left:,.1f} days left at the traffic so far"
        if left
        else f"{words}; the planned end is reached"
    )


def _bound_lines(bounds: CappedPayload | None) -> Iterator[str]:
    if bounds is None:
        return
    if bounds["cap"] is not None:
        yield f"values above {bounds['cap']:,.6g} count as it: {by_variant(bounds['capped'])}"
    if bounds["floor"] is not None:
        yield f"values below {bounds['floor']:,.6g} count as it: {by_variant(bounds['floored'])}"
