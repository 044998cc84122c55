"""Definitions of metrics, versions 1 and 2: from JSON to a statistic, and back (rules M1, M6-M14, M18).

What is written back is canonical: defaults are left out, durations and numbers have one spelling. Reading it again
gives the same statistic.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from experiment_pipeline.domain.definition_fields import canonical_number
from experiment_pipeline.domain.definition_forms import (
    CapForm,
    ConditionForm,
    EventQuantileForm,
    EventsForm,
    FloorForm,
    Form,
    FunnelForm,
    MeanForm,
    MeasureForm,
    QuantileForm,
    RatioForm,
    RetentionForm,
    WindowForm,
)
from experiment_pipeline.domain.measures import (
    WHOLE_TIME,
    Aggregation,
    Bound,
    Condition,
    Events,
    Measure,
    MeasureWindow,
    Missing,
    Operator,
)
from experiment_pipeline.domain.metrics import Funnel, Maturity, Mean, Metric, Quantile, Ratio, Retention, Statistic
from experiment_pipeline.times import format_duration

OPERATORS = {"equals": Operator.IS, "within": Operator.IN}  # fields of a form whose names Python reserves


@dataclass(frozen=True, slots=True)
class Defined:
    """The meaning of a definition: its version, its statistic, and the identities that this is of."""

    version: int
    statistic: Statistic
    maturity: Maturity = Maturity.ALL

    @property
    def as_json(self) -> dict[str, Any]:
        """The canonical definition, JSON-ready; version 1's aggregation and window stand beside it."""
        if self.version == 1 and isinstance(self.statistic, Mean):
            return {"version": 1, "event": self.statistic.measure.events.name}
        return definition(self.statistic, self.maturity)


def statistic_of(form: Form) -> Defined:
    """Return what a form of version 2 says; the rules between its fields are not checked here."""
    match form:
        case MeanForm():
            before = form.covariate.before if form.covariate else None
            return Defined(2, Mean(_measure(form.measure), before), form.maturity)
        case RatioForm():
            return Defined(2, Ratio(_measure(form.numerator), _measure(form.denominator)), form.maturity)
        case QuantileForm():
            return Defined(2, Quantile(form.q, _measure(form.measure)), form.maturity)
        case EventQuantileForm():
            events = Events(form.measure.event, conditions_of(form.measure.where), _window(form.measure.window))
            return Defined(2, Quantile(form.q, events), form.maturity)
        case RetentionForm():
            events = Events(form.measure.event, conditions_of(form.measure.where), _window(form.window))
            return Defined(2, Retention(Measure(events, Aggregation.OCCURRENCE)), Maturity.COMPLETE)
        case FunnelForm():
            return Defined(2, Funnel(tuple(map(step_of, form.steps)), form.within))


def definition_of(metric: Metric) -> dict[str, Any]:
    """Return a metric's canonical definition, JSON-ready; version 1's aggregation and window stand beside it."""
    return Defined(metric.version, metric.statistic, metric.maturity).as_json


def definition(statistic: Statistic, maturity: Maturity = Maturity.ALL) -> dict[str, Any]:
    """Return the canonical definition of version 2 that declares a statistic, JSON-ready."""
    identities = None if maturity is Maturity.ALL else maturity.value
    match statistic:
        case Mean(measure, before):
            covariate = None if before is None else {"before": format_duration(before)}
            return _given("mean", measure=_measure_json(measure), maturity=identities, covariate=covariate)
        case Ratio(numerator, denominator):
            parts = {"numerator": _measure_json(numerator), "denominator": _measure_json(denominator)}
            return _given("ratio", **parts, maturity=identities)
        case Quantile(q, of):
            if isinstance(of, Events):
                return _given("quantile", q=q, unit="event", measure=events_json(of), maturity=identities)
            return _given("quantile", q=q, measure=_measure_json(of), maturity=identities)
        case Retention(measure):
            window = _window_json(measure.events.window)
            return _given("retention", measure=events_json(measure.events, timed=False), window=window)
        case Funnel(steps, within):
            limit = None if within is None else format_duration(within)
            return _given("funnel", steps=[events_json(step, timed=False) for step in steps], within=limit)


def canonical_text(definition: object) -> str:
    """Return the text by which two JSON-ready definitions are compared: 1 is not true there, as it is in Python."""
    return json.dumps(definition, sort_keys=True)


def _measure(form: MeasureForm) -> Measure:
    return Measure(
        events=Events(form.event, conditions_of(form.where), _window(form.window)),
        aggregation=form.aggregation,
        missing=form.missing or Missing.LEFT_OUT,
        cap=_bound(form.cap),
        floor=_bound(form.floor),
        slice_by=form.slice_by,
    )


def step_of(form: EventsForm) -> Events:
    """Return the events that a form declares, in no window."""
    return Events(form.event, conditions_of(form.where))


def conditions_of(forms: tuple[ConditionForm, ...]) -> tuple[Condition, ...]:
    """Return the conditions that forms declare."""
    return tuple(Condition(form.field, *stated_comparisons(form)[0]) for form in forms)


def form_of_condition(condition: Condition) -> ConditionForm:
    """Return the form that declares a condition."""
    names = {operator: name for name, operator in OPERATORS.items()}
    operand: dict[str, Any] = {names.get(condition.operator, condition.operator.value): condition.operand}
    return ConditionForm(condition.field, **operand)


def stated_comparisons(form: ConditionForm) -> list[tuple[Operator, Any]]:
    """Return the comparisons of a condition with their operands; a valid one has exactly one."""
    names = ("equals", "within", "not_in", "at_least", "at_most", "exists")
    stated = {name: getattr(form, name) for name in names if getattr(form, name) is not None}
    return [(OPERATORS.get(name) or Operator(name), operand) for name, operand in stated.items()]


def _window(form: WindowForm | None) -> MeasureWindow:
    return WHOLE_TIME if form is None else MeasureWindow(form.start, form.end)


def _bound(form: CapForm | FloorForm | None) -> Bound | None:
    return None if form is None else Bound(form.at, form.percentile, form.of_nonzero)


def _given(statistic: str, **parts: Any) -> dict[str, Any]:
    return {"version": 2, "statistic": statistic, **_without_none(parts)}


def _without_none(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part is not None}


def _measure_json(measure: Measure) -> dict[str, Any]:
    events = events_json(measure.events)
    further = {
        "cap": _bound_json(measure.cap),
        "floor": _bound_json(measure.floor),
        "slice_by": measure.slice_by,
        "missing": "zero" if measure.aggregation.may_lack_value and measure.missing is Missing.ZERO else None,
    }
    return {"event": events.pop("event"), "aggregation": measure.aggregation.value, **events, **_without_none(further)}


def events_json(events: Events, *, timed: bool = True) -> dict[str, Any]:
    """Return events in their canonical form, JSON-ready; without their window where that stands elsewhere."""
    where = [condition_json(condition) for condition in events.where]
    window = _window_json(events.window) if timed and events.window != WHOLE_TIME else None
    return _without_none({"event": events.name, "where": where or None, "window": window})


def condition_json(condition: Condition) -> dict[str, Any]:
    """Return a condition in its canonical form, JSON-ready."""
    operand = condition.operand
    written = list(map(_scalar_json, operand)) if isinstance(operand, tuple) else _scalar_json(operand)
    return {"field": condition.field, condition.operator.value: written}


def _scalar_json(scalar: str | float) -> str | float:
    return scalar if isinstance(scalar, str | bool) else canonical_number(scalar)


def _window_json(window: MeasureWindow) -> dict[str, Any]:
    start = None if window.start == timedelta(0) else format_duration(window.start)
    return _without_none({"from": start, "to": None if window.end is None else format_duration(window.end)})


def _bound_json(bound: Bound | None) -> dict[str, Any] | None:
    if bound is None:
        return None
    numbers = {"at": bound.at, "percentile": bound.percentile}
    written: dict[str, Any] = {name: canonical_number(value) for name, value in numbers.items() if value is not None}
    return {**written, "of_nonzero": True} if bound.of_nonzero else written
