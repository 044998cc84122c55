"""Rules of definitions: everything that a definition breaks, by field, with an example of what is allowed.

Version 1 is judged in words of its own, which it always had; version 2 by its forms (`domain/definition_forms`) and by
the rules between their fields (M6-M14, M18).
"""

from functools import cache
from typing import Any

from pydantic import ValidationError

from experiment_pipeline.domain.definition_forms import (
    FORMS,
    CapForm,
    ConditionForm,
    EventQuantileForm,
    EventsForm,
    EventValuesForm,
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
from experiment_pipeline.domain.definition_messages import chosen, explain
from experiment_pipeline.domain.definitions import Defined, stated_comparisons, statistic_of
from experiment_pipeline.domain.fields import EventName, FieldErrors, adapter
from experiment_pipeline.domain.measures import Aggregation, Missing, Operator
from experiment_pipeline.domain.metrics import Maturity

VERSIONS = (1, 2)  # rule M1
OUTERMOST = 0.0001  # quantile: 100,000 values an arm have ten beyond it, the fewest that are compared (rule M12)
MEDIAN = " The median is statistic: quantile with q: 0.5."
NO_COVARIATE = "Leave it out: only a mean can be adjusted by what came before."
REMEDIES = {  # of a field that belongs to other statistics alone, where it is not another metric that is wanted
    ("mean", "window"): "Write it in the measure, such as measure: {event: app_opened, window: {to: P7D}}.",
    ("ratio", "window"): "Write it in each measure, such as numerator: {event: purchased, window: {to: P7D}}.",
    ("quantile", "window"): "Write it in the measure, such as measure: {event: page_loaded, window: {to: P7D}}.",
    ("funnel", "window"): "within says how long after the first step the later ones count, such as within: P1D.",
    ("retention", "maturity"): "Leave it out: it always is of identities whose whole window has passed.",
    ("funnel", "maturity"): "Leave it out: its steps have no window that ends.",
    ("ratio", "covariate"): NO_COVARIATE,
    ("quantile", "covariate"): NO_COVARIATE,
    ("funnel", "covariate"): NO_COVARIATE,
    ("retention", "covariate"): (
        f"{NO_COVARIATE} As a mean it is statistic: mean, measure: {{event: app_opened, aggregation: occurrence, "
        "window: {from: P7D, to: P8D}}, maturity: complete, covariate: {before: P14D}."
    ),
}


def version_of(definition: object) -> int | None:
    """Return the version that a definition states; None where it states none that there is."""
    version = definition.get("version") if isinstance(definition, dict) else None
    return version if version in VERSIONS and not isinstance(version, bool) else None


def read_version_1(errors: FieldErrors, definition: object) -> str:
    """Return the event of a definition that is not of version 2, and collect what it breaks."""
    if not isinstance(definition, dict):
        errors.add("definition", "Definition must be an object.")
        return ""
    event = definition.get("event")
    if version_of(definition) is None:
        errors.add("definition", "Definition must specify a supported 'version'.")
        got = f"Must be 1 or 2, got {definition['version']!r:.60}." if "version" in definition else None
        errors.add("definition.version", got or "This field is required: 1 or 2.")
        if "statistic" in definition:
            return ""  # of version 2, and judged once it says so
    if not isinstance(event, str) or not event.strip():
        errors.add("definition", "Definition must specify a non-empty 'event'.")
        return ""
    errors.validate(EventName, event, "definition.event")
    for unknown in sorted(str(name) for name in definition.keys() - {"version", "event"}):
        errors.add("definition", f"Unknown field '{unknown[:80]}'.")
    return event


def read_version_2(errors: FieldErrors, definition: dict[str, Any]) -> Defined | None:
    """Return what a definition of version 2 says; None where it breaks a rule, which is collected."""
    statistic = definition.get("statistic")
    if not isinstance(statistic, str) or statistic not in FORMS:
        message = chosen(FORMS, statistic, missing="statistic" not in definition)
        errors.add(
            "definition.statistic", message.partition(" Did you")[0] + MEDIAN if statistic == "median" else message
        )
        return None
    found = FieldErrors()
    own = _without_foreign(found, statistic, definition)
    form = _form(found, statistic, own)
    if form is not None:
        _check(found, form)
    for path, messages in found.errors.items():
        errors.errors.setdefault(f"definition.{path}", []).extend(messages)
    return statistic_of(form) if form is not None and not found.errors else None


def stored_definition(definition: dict[str, Any]) -> Defined:
    """Return what a definition of version 2 says that was checked when it was declared."""
    kind = EventQuantileForm if definition.get("unit") == "event" else FORMS[definition["statistic"]]
    form: Form = adapter(kind).validate_python(definition)
    return statistic_of(form)


def _without_foreign(errors: FieldErrors, statistic: str, definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition without the fields that belong to other statistics alone, which are refused."""
    own = field_names(FORMS[statistic])
    kept: dict[str, Any] = {}
    for name, value in definition.items():
        others = [each for each, form in FORMS.items() if name in field_names(form)]
        if name in own or not others:
            kept[name] = value
        elif (statistic, name) in REMEDIES:
            errors.add(name, f"A {statistic} has none. {REMEDIES[statistic, name]}")
        else:
            owner = f"which belongs to {' and '.join(others)}: a metric has one statistic"
            errors.add(name, f"A {statistic} has none, {owner}. Leave it out, or declare another metric for it.")
    return kept


@cache
def field_names(form: type) -> tuple[str, ...]:
    """Return the names that the fields of a form have in JSON."""
    return tuple(adapter(form).json_schema()["properties"])


def _form(errors: FieldErrors, statistic: str, definition: dict[str, Any]) -> Form | None:
    kind = FORMS[statistic]
    if kind is QuantileForm:
        unit = definition.get("unit", "identity")
        if unit not in ("identity", "event"):
            errors.add("unit", chosen(("identity", "event"), unit))
            definition = {**definition, "unit": "identity"}
        kind = EventQuantileForm if unit == "event" else QuantileForm
    try:
        form: Form = adapter(kind).validate_python(definition)
    except ValidationError as invalid:
        for path, messages in explain(invalid.errors(include_url=False), kind).items():
            errors.errors.setdefault(path, []).extend(messages)
        return None
    return form


def _check(errors: FieldErrors, form: Form) -> None:
    """Collect the rules between fields that a form breaks."""
    for place, events in _events(form):
        for position, condition in enumerate(events.where):
            check_condition(errors, f"{place}.where.{position}", condition)
        if not isinstance(events, EventsForm):
            _check_window(errors, f"{place}.window", events.window)
        if isinstance(events, MeasureForm):
            _check_measure(errors, place, events)
            if events.slice_by is not None and not isinstance(form, MeanForm):
                errors.add(f"{place}.slice_by", "Leave it out: only a mean can be split by a property of its events.")
    if isinstance(form, QuantileForm | EventQuantileForm) and not OUTERMOST <= form.q <= 1 - OUTERMOST:
        errors.add("q", f"Must lie from {OUTERMOST:g} to {1 - OUTERMOST:g}: beyond are too few values to compare.")
    if isinstance(form, RetentionForm):
        errors.require(form.window.end is not None, "window.to", "This field is required, such as to: P8D.")
        _check_window(errors, "window", form.window)
    elif not isinstance(form, FunnelForm) and form.maturity is Maturity.COMPLETE:
        _check_maturity(errors, form)


def _events(form: Form) -> list[tuple[str, MeasureForm | EventsForm | EventValuesForm]]:
    match form:
        case RatioForm():
            return [("numerator", form.numerator), ("denominator", form.denominator)]
        case FunnelForm():
            return [(f"steps.{position}", step) for position, step in enumerate(form.steps)]
        case _:
            return [("measure", form.measure)]


def check_condition(errors: FieldErrors, place: str, form: ConditionForm) -> None:
    """Collect that a condition has not exactly one comparison (rule M7)."""
    stated = [operator.value for operator, _ in stated_comparisons(form)]
    if len(stated) == 1:
        return
    allowed = ", ".join(Operator)
    got = f"not {' and '.join(stated)} together: write one condition for each" if stated else "such as is: DE"
    errors.add(place, f"Must have exactly one of {allowed}, {got}.")


def _check_window(errors: FieldErrors, place: str, form: WindowForm | None) -> None:
    if form is not None and form.end is not None and form.end <= form.start:
        errors.add(f"{place}.to", "Must be longer than from, such as {from: P7D, to: P8D}.")


def _check_maturity(errors: FieldErrors, form: MeanForm | RatioForm | QuantileForm | EventQuantileForm) -> None:
    for place, events in _events(form):
        window = None if isinstance(events, EventsForm) else events.window
        if window is None or window.end is None:
            message = "Needed with maturity: complete, which waits for the end of the window, such as to: P7D."
            errors.add(f"{place}.window.to", message)


def _check_measure(errors: FieldErrors, place: str, form: MeasureForm) -> None:
    is_share = form.aggregation is Aggregation.OCCURRENCE
    for name, bound in (("cap", form.cap), ("floor", form.floor)):
        if bound is not None and is_share:
            errors.add(f"{place}.{name}", "Leave it out: an occurrence is 0 or 1.")
        elif bound is not None:
            _check_bound(errors, f"{place}.{name}", bound)
    at = None if form.cap is None else form.cap.at
    is_zero_without_event = not form.aggregation.may_lack_value or form.missing is Missing.ZERO
    if at is not None and at < 0 and is_zero_without_event and not is_share:
        message = f"Must be above 0, such as at: 500: an identity without an event is 0, and would count as {at:g}."
        errors.add(f"{place}.cap.at", message)
    if form.missing is not None and not form.aggregation.may_lack_value:
        message = f"Leave it out: {form.aggregation} of no event is 0. It is for mean, min, max, first and last."
        errors.add(f"{place}.missing", message)
    cap = None if form.cap is None else form.cap.at
    floor = None if form.floor is None else form.floor.at
    if cap is not None and floor is not None and floor > cap:
        errors.add(f"{place}.floor.at", f"Must not be above the cap, {cap:g}.")


def _check_bound(errors: FieldErrors, place: str, form: CapForm | FloorForm) -> None:
    example = "99.5" if isinstance(form, CapForm) else "0.5"
    if (form.at is None) == (form.percentile is None):
        errors.add(place, f"Must have exactly one of at and percentile, such as {{percentile: {example}}}.")
    elif form.of_nonzero and form.percentile is None:
        errors.add(f"{place}.of_nonzero", f"Needs a percentile, such as {{percentile: {example}, of_nonzero: true}}.")
    elif form.at == 0 and isinstance(form, CapForm):
        errors.add(f"{place}.at", "Must not be 0, which withholds the metric (rule M10), such as at: 500.")
