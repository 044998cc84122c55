"""Drafts: what an experiment or a metric is asked to be, and whether the rules allow it (rules L3, L6, M1).

A draft is the body of a request, an entry of a manifest, and what the registry writes: one shape, whose fields state
their own rules (`domain/fields`). The rules between fields stand here. Nothing else decides what is valid, and every
rule that is broken is named at once, by field.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, with_config

from experiment_pipeline.domain.audience_forms import (
    Crossed,
    Dimensions,
    Entry,
    Excluded,
    Only,
    Stratified,
    check_audience,
    declared_fields,
)
from experiment_pipeline.domain.definition_forms import EXAMPLES, AnyDefinition, ShownAs
from experiment_pipeline.domain.definition_rules import read_version_1, read_version_2, version_of
from experiment_pipeline.domain.definitions import Defined, definition, definition_of
from experiment_pipeline.domain.experiments import (
    CONTROL,
    DeclaredPrior,
    Design,
    Experiment,
    MultipleExposures,
    Variant,
    VariantRole,
    unallocated,
)
from experiment_pipeline.domain.fields import (
    STRICT,
    AttributionWindow,
    EnvironmentKey,
    ExperimentKey,
    Feature,
    FieldErrors,
    IgnoredVariants,
    Margin,
    MetricReference,
    Name,
    Percentage,
    RefreshInterval,
    Text,
    Unit,
    VariantKey,
    validated,
)
from experiment_pipeline.domain.measures import Aggregation
from experiment_pipeline.domain.metrics import (
    VERSION_1_AGGREGATIONS,
    AttachedMetric,
    Direction,
    ExpectedDirection,
    Metric,
    mean_of_version_1,
)
from experiment_pipeline.domain.texts import printable

BELONGS_TO_VERSION_1 = {  # fields beside the definition, with the place that they have in version 2
    "aggregation": "measure: {event: purchased, aggregation: sum}",
    "window": "measure: {event: purchased, aggregation: sum, window: {to: P7D}}",
}
Definition = Annotated[
    Any,  # judged by `check_metric`, which may have several things to say of it
    ShownAs(AnyDefinition),
]


def _version_1_aggregation(name: object) -> object:
    if name not in VERSION_1_AGGREGATIONS:
        allowed = ", ".join(f"'{each}'" for each in VERSION_1_AGGREGATIONS[:-1])
        got = f", got '{printable(name[:80])}'" if isinstance(name, str) else ""
        raise ValueError(f"Must be {allowed} or '{VERSION_1_AGGREGATIONS[-1]}'{got}.")
    return name


Version1Aggregation = Annotated[
    Aggregation,
    BeforeValidator(_version_1_aggregation),
    WithJsonSchema({"type": "string", "enum": [each.value for each in VERSION_1_AGGREGATIONS]}),
]


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class VariantDraft:
    """One arm; `control` may be left out and takes what the others leave."""

    key: Annotated[VariantKey, Field(description="the text that exposures carry as their value")] = None
    percentage_allocation: Annotated[Percentage | None, Field(description="percent of the traffic, 0 to 100")] = None
    role: Annotated[
        VariantRole | None, Field(description="control for the key `control`, otherwise treatment, when left out")
    ] = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class AttachmentDraft:
    """A metric as an experiment uses it; the first one is the primary."""

    metric: MetricReference
    expected_direction: Annotated[
        ExpectedDirection, Field(description="not_increase and not_decrease make it a guardrail")
    ]
    margin: Annotated[
        Margin | None,
        Field(description="of a guardrail: the share of control's mean by which it may be worse; 0.02 is 2 %"),
    ] = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class ExperimentDraft:
    """An experiment to declare."""

    name: Name
    hypothesis: Annotated[Text, Field(description="what is believed, and why")]
    feature: Annotated[Feature, Field(description="the flag that splits the traffic; never changes")]
    variants: Annotated[
        tuple[VariantDraft, ...], Field(description="control may be left out: it takes what the others leave")
    ]
    key: Annotated[ExperimentKey | None, Field(description="made from the name when left out; never changes")] = None
    metrics: Annotated[tuple[AttachmentDraft, ...], Field(description="the first one is the primary")] = ()
    multiple_exposures: Annotated[
        MultipleExposures,
        Field(description="identities that saw several variants: left out, or counted in their first one"),
    ] = MultipleExposures.EXCLUDE
    refresh_interval: Annotated[
        RefreshInterval, Field(description="how often it is refreshed by itself while it runs")
    ] = timedelta(hours=1)
    design: Design = field(default_factory=Design)
    ignored_variants: Annotated[
        IgnoredVariants,
        Field(description="variants of exposures that may have traffic outside the split: testers, renamed keys"),
    ] = ()
    dimensions: Dimensions = ()
    cross: Crossed = ()
    entry: Entry = None
    only: Only = ()
    exclude_identifiers: Excluded = ()
    post_stratify: Stratified = None
    prior: DeclaredPrior = None


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class MetricDraft:
    """A metric to declare."""

    name: Name
    definition: Annotated[
        Definition, Field(description="what is measured; version 2 has more to say than version 1", examples=EXAMPLES)
    ]
    aggregation: Annotated[
        Version1Aggregation | None,
        Field(description="of version 1, which requires it: how the events of one identity become one number"),
    ] = None
    direction: Annotated[Direction, Field(description="the better side")] = Direction.UP
    description: Annotated[Text, Field(description="for people")] = ""
    window: Annotated[
        AttributionWindow | None,
        Field(description="of version 1: how long after its first exposure an identity counts"),
    ] = None
    unit: Annotated[Unit, Field(description="of version 2: the unit of its values, for people, such as EUR")] = ""


def to_draft(experiment: Experiment) -> ExperimentDraft:
    """Return the draft that would declare this experiment again: what a change starts from."""
    return ExperimentDraft(
        name=experiment.name,
        hypothesis=experiment.hypothesis,
        feature=experiment.feature,
        variants=tuple(to_variant_draft(variant) for variant in experiment.variants),
        key=experiment.key,
        metrics=tuple(to_attachment_draft(attached) for attached in experiment.metrics),
        multiple_exposures=experiment.multiple_exposures,
        refresh_interval=experiment.refresh_interval,
        design=experiment.design,
        ignored_variants=experiment.ignored_variants,
        post_stratify=experiment.post_stratify,
        prior=experiment.prior,
        **declared_fields(experiment.audience),
    )


def changed_fields(before: ExperimentDraft, after: ExperimentDraft) -> list[str]:
    """Return the names of the fields in which two drafts differ; a manifest's entry has more, which do not count."""
    return [each.name for each in fields(ExperimentDraft) if getattr(before, each.name) != getattr(after, each.name)]


def to_variant_draft(variant: Variant) -> VariantDraft:
    """Return the draft that would declare this variant again."""
    return VariantDraft(variant.key, variant.percentage_allocation, variant.role)


def to_attachment_draft(attached: AttachedMetric) -> AttachmentDraft:
    """Return the draft that would attach this metric again."""
    return AttachmentDraft(attached.metric.id, attached.expected_direction, attached.margin)


def to_metric_draft(metric: Metric) -> MetricDraft:
    """Return the draft that would declare this metric again."""
    is_version_1 = metric.version == 1
    return MetricDraft(
        name=metric.name,
        definition=definition_of(metric),
        aggregation=metric.aggregation if is_version_1 else None,
        direction=metric.direction,
        description=metric.description,
        window=metric.window if is_version_1 else None,
        unit=metric.unit,
    )


def upgraded(metric: Metric) -> MetricDraft:
    """Return the draft of version 2 that gives the same numbers as a metric of version 1 (rule M6)."""
    return replace(
        to_metric_draft(metric), definition=definition(metric.statistic, metric.maturity), aggregation=None, window=None
    )


def check_name(name: str) -> None:
    """Check the name of anything: one line of at most 255 characters. Raises ConfigurationError."""
    validated(Name, name, "name")


def check_environment(key: str, name: str) -> None:
    """Check an environment's key (rule E8) and name. Raises ConfigurationError."""
    errors = FieldErrors()
    errors.validate(EnvironmentKey, key, "key")
    errors.validate(Name, name, "name")
    errors.raise_any()


def check_metric(draft: MetricDraft) -> Defined:
    """Check a metric by rules M1 and M6-M14 and return what its definition says.

    Raises:
        ConfigurationError: names every field at fault
    """
    errors = FieldErrors()
    errors.validate(type(draft), draft)
    if version_of(draft.definition) == 2:
        defined = read_version_2(errors, draft.definition)
        for name, example in BELONGS_TO_VERSION_1.items():
            message = f"Belongs to version 1. In version 2 it is a part of the definition, such as {example}."
            errors.require(getattr(draft, name) is None, name, message)
    else:
        event = read_version_1(errors, draft.definition)
        if version_of(draft.definition) == 1:  # what stands beside a definition is a matter of its version
            errors.require(draft.aggregation is not None, "aggregation", "This field is required.")
            errors.require(not draft.unit, "unit", "Belongs to version 2, such as definition: {version: 2, ...}.")
        aggregation = draft.aggregation or Aggregation.MEAN  # where there is none, an error says so
        defined = Defined(1, mean_of_version_1(event, aggregation, draft.window))
    errors.raise_any()
    assert defined is not None  # noqa: S101 - otherwise there are errors
    return defined


def check_experiment(draft: ExperimentDraft, present: ExperimentDraft | None = None) -> tuple[Variant, ...]:
    """Check an experiment by rules L3 and L6 and return its variants in full.

    Args:
        draft: what is wanted.
        present: what it changes. A design that stays is not judged again: it may be older than a rule, and is frozen.

    Returns:
        control added where it was left out, roles and shares resolved

    Raises:
        ConfigurationError: names every field at fault
    """
    errors = FieldErrors()
    validated = errors.validate(type(draft), draft)
    if present is None or validated.design != present.design:
        _check_design(errors, validated.design)
    if not any(path.startswith("metrics") for path in errors.errors):
        _check_margins(errors, validated.metrics)
    if not errors.errors:  # fields of the wrong type have no names to compare
        check_audience(errors, validated)
    if any(path.startswith("variants.") for path in errors.errors):
        errors.raise_any()
    variants = _resolve_variants(errors, validated.variants)
    _check_ignored(errors, validated.ignored_variants, variants)
    errors.raise_any()
    return variants


def _check_ignored(errors: FieldErrors, ignored: tuple[str, ...], variants: tuple[Variant, ...]) -> None:
    """Check that no variant is ignored that the split provides for: that would change nothing."""
    for variant in variants:
        if variant.key in ignored and (variant.role is VariantRole.HOLDOUT or variant.percentage_allocation):
            message = f"The split provides for '{printable(variant.key[:80])}': it cannot be ignored."
            errors.add("ignored_variants", message)


def _check_design(errors: FieldErrors, design: Design) -> None:
    """Check that a sample can be planned: `mde` is relative to `baseline`, and no plan has a power below alpha."""
    if any(path.startswith("design") for path in errors.errors):
        return
    errors.require(design.power > design.alpha, "design.power", "Must be greater than alpha.")
    if design.mde is None:
        return
    errors.require(design.baseline is not None, "design.baseline", "Needed with mde, which is relative to it.")
    errors.require(design.baseline != 0, "design.baseline", "Must not be 0: mde is relative to it.")


def _check_margins(errors: FieldErrors, metrics: tuple[AttachmentDraft, ...]) -> None:
    """Check by rule M16 that margins are those of guardrails, and that one leaves something of control's mean."""
    for position, draft in enumerate(metrics):
        if draft.margin is None:
            continue
        path, expected = f"metrics.{position}.margin", draft.expected_direction
        if not expected.is_guardrail:
            message = f"Only a guardrail has a margin: not_increase or not_decrease, and this one is {expected}."
            errors.add(path, message)
        elif expected is ExpectedDirection.NOT_DECREASE:
            errors.require(draft.margin < 1, path, "Must be below 1 for not_decrease: 1 is all of control's mean.")


def key_from_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """Return a free key by rule L6: made from the name, numbered from 2 on where others have it."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    stem = (words if words[:1].isalpha() else f"experiment-{words}".strip("-"))[:70].strip("-")
    return next(key for key in _numbered(stem) if not is_taken(key))


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _resolve_variants(errors: FieldErrors, drafts: tuple[VariantDraft, ...]) -> tuple[Variant, ...]:
    """Return the variants in full by rule L3: one control, at least one treatment, unique keys, at most 100 %."""
    before = len(errors.errors)
    stated = [_stated_variant(errors, f"variants.{position}", draft) for position, draft in enumerate(drafts)]
    if len(errors.errors) > before:
        return ()
    if not any(variant.role is VariantRole.CONTROL for variant in stated):
        stated.insert(0, Variant(key=CONTROL, role=VariantRole.CONTROL))
    controls = [variant for variant in stated if variant.role is VariantRole.CONTROL]
    errors.require(len(controls) == 1, "variants", "Exactly one variant must be the control.")
    errors.require(
        any(variant.role is VariantRole.TREATMENT for variant in stated),
        "variants",
        "Only multivariate features can be experimented on: add a treatment.",
    )
    keys = Counter(variant.key for variant in stated if variant.key is not None)
    for key in (key for key, times in keys.items() if times > 1):
        errors.add("variants", f"Variant keys must be unique, got '{key[:80]}' more than once.")
    if len(errors.errors) > before:
        return ()
    return _with_control_share(errors, stated, controls[0])


def _stated_variant(errors: FieldErrors, path: str, draft: VariantDraft) -> Variant:
    role = draft.role or (VariantRole.CONTROL if draft.key == CONTROL else VariantRole.TREATMENT)
    if (draft.key == CONTROL) != (role is VariantRole.CONTROL):
        errors.add(f"{path}.key", f"The key '{CONTROL}' is reserved for the control, which must have it.")
    if draft.percentage_allocation is None and role is not VariantRole.CONTROL:
        errors.add(f"{path}.percentage_allocation", "This field is required; only control may leave it out.")
    return Variant(draft.key, role, draft.percentage_allocation)


def _with_control_share(errors: FieldErrors, stated: list[Variant], control: Variant) -> tuple[Variant, ...]:
    """Return the variants with control's share (rule S1): the unallocated remainder.

    What was stated for control must be just that.
    """
    others = [v.percentage_allocation or 0.0 for v in stated if v is not control]
    remainder = unallocated(others)
    if remainder < 0:
        errors.add("variants", f"Variant allocations must not exceed 100%, got {math.fsum(others):g}%.")
    elif control.percentage_allocation is not None and unallocated([*others, control.percentage_allocation]) != 0:
        total = math.fsum([*others, control.percentage_allocation])
        if total > 100:
            message = f"Variant allocations must not exceed 100%, got {total:g}%."
        else:
            hint = " Allocations are per cent: 50 is a half." if total <= 1 else ""
            taken = f"Control takes what is not allocated, {remainder:g}%"
            message = f"{taken}: leave its allocation out or state just that.{hint}"
        errors.add("variants", message)
    return tuple(Variant(v.key, v.role, remainder) if v is control else v for v in stated)
