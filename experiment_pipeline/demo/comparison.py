"""The true lifts of a simulated experiment beside those that its results found: overall, by step, and by dimension."""

from collections.abc import Iterator
from dataclasses import dataclass

from experiment_pipeline.demo.simulation import SIMULATIONS
from experiment_pipeline.demo.truth import Truth, segments_with
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.results.comparison_payload import LiftPayload
from experiment_pipeline.results.metric_payload import MetricPayload, PartPayload
from experiment_pipeline.results.payload import ResultsPayload
from experiment_pipeline.stats.verdict import Verdict

NO_EFFECT = 1e-9  # a true lift below it comes from rounding


@dataclass(frozen=True, slots=True)
class Compared:
    """One true lift and what was found of it.

    Attributes:
        part: the dimension and the value that it is about; None for everybody.
        true_lift: relative to control; exactly 0 where the treatment has no effect.
        found: the reading that the verdict rests on, adjusted where the metric is; None where it is withheld.
        verdict: None for a step of a funnel, which has none.
    """

    experiment: str
    treatment: str
    metric: str
    part: tuple[str, str | None] | None
    true_lift: float
    found: LiftPayload | None
    verdict: Verdict | None

    @property
    def covers(self) -> bool:
        """Whether the interval that was found holds the true lift."""
        return self.found is not None and self.found["ci_low"] <= self.true_lift <= self.found["ci_high"]

    def to_json(self) -> dict[str, object]:
        """Return it with plain names."""
        found = self.found
        return {
            "experiment": self.experiment,
            "treatment": self.treatment,
            "metric": self.metric,
            "dimension": self.part and self.part[0],
            "value": self.part and self.part[1],
            "true_lift": self.true_lift,
            "lift": found and found["lift"],
            "ci_low": found and found["ci_low"],
            "ci_high": found and found["ci_high"],
            "covers": None if found is None else self.covers,
            "verdict": self.verdict,
        }


def compared(experiment: Experiment, results: ResultsPayload) -> list[Compared]:
    """Return every true lift of an experiment beside its results, part by part; nothing of one that is real."""
    simulation = next((each for each in SIMULATIONS if each.key == experiment.key), None)
    if simulation is None:
        return []
    truth, traits = Truth(simulation), {each.name: each.trait for each in experiment.audience.dimensions}
    found = [row for metric in results["metrics"] for row in _rows(experiment.key, truth, traits, metric)]
    order = list(dict.fromkeys((each.treatment, each.part) for each in found))
    return sorted(found, key=lambda each: (each.part is not None, order.index((each.treatment, each.part))))


def _rows(key: str, truth: Truth, traits: dict[str, str], metric: MetricPayload) -> Iterator[Compared]:
    name = metric["name"]
    for treatment, verdict in metric["verdict"].items():
        for step in metric.get("steps", [])[:-1]:  # the last one is the metric
            label = f"{name}, step {step['step']}"
            lift = _exact(truth.lift(treatment, label))
            yield Compared(key, treatment, label, None, lift, step["inference"][treatment], None)
        lift = _exact(truth.lift(treatment, name))
        yield Compared(key, treatment, name, None, lift, _deciding(metric, treatment), verdict)
        for dimension, parts in metric.get("breakdown", {}).items():
            for part in (each for each in parts if not each["other"]):
                segments = segments_with(traits[dimension], part["value"])
                yield Compared(
                    experiment=key,
                    treatment=treatment,
                    metric=name,
                    part=(dimension, part["value"]),
                    true_lift=_exact(truth.lift(treatment, name, segments)),
                    found=_deciding(part, treatment),
                    verdict=part["verdict"][treatment],
                )


def _deciding(of: MetricPayload | PartPayload, treatment: str) -> LiftPayload | None:
    """Return the reading that the verdict rests on: the adjusted one where there is one (rule M11)."""
    adjusted = of["adjusted"].get(treatment) if "adjusted" in of else None
    plain = of["inference"][treatment]
    return plain if adjusted is None or adjusted["inference"] is None else adjusted["inference"]


def _exact(lift: float) -> float:
    return 0.0 if abs(lift) < NO_EFFECT else lift
