"""Declarations: what somebody asks an experiment or a metric to be, and whether the rules allow it (L3, L6, M1).

API, CLI and YAML all hand over these drafts; nothing else decides what is valid. Every rule that is broken is named at
once, by field. Text that a database or a URL cannot carry (control characters) is refused here too.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from experiment_pipeline.domain.experiments import (
    CONTROL,
    Design,
    Experiment,
    MultipleExposures,
    Variant,
    VariantRole,
    unallocated,
)
from experiment_pipeline.domain.metrics import Aggregation, Direction, ExpectedDirection, Metric
from experiment_pipeline.errors import ConfigurationError

ENVIRONMENT_KEY = re.compile(r"[A-Za-z0-9._-]{1,255}")  # rule E8
EXPERIMENT_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")  # rule L6
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")  # no database and no UTF-8 holds these
NAME_LENGTH = 255
TEXT_LENGTH = 65_535
VARIANT_KEY_LENGTH = 2_000  # rule L3
FEATURE_BYTES = 2_000  # what a PostgreSQL index entry holds beside the environment's key
SHORTEST_REFRESH_INTERVAL = timedelta(minutes=5)  # rule R4
LONGEST_DURATION = timedelta(days=366)
MAX_LOOKS = 1_000
DEFINITION_VERSION = 1  # rule M1


@dataclass(frozen=True, slots=True)
class VariantDraft:
    """One arm as it was asked for: key `control` is the control, any other a treatment unless a role says more."""

    key: str | None = None
    percentage_allocation: float | None = None
    role: VariantRole | None = None


@dataclass(frozen=True, slots=True)
class AttachmentDraft:
    """A metric to attach, by id or by its name in the experiment's environment."""

    metric: int | str
    expected_direction: ExpectedDirection


@dataclass(frozen=True, slots=True)
class ExperimentDraft:
    """An experiment as it was asked for. Without a `key` one is made from the name."""

    name: str
    feature: str
    variants: tuple[VariantDraft, ...]
    key: str | None = None
    hypothesis: str = ""
    metrics: tuple[AttachmentDraft, ...] = ()
    multiple_exposures: MultipleExposures = MultipleExposures.EXCLUDE
    refresh_interval: timedelta = timedelta(hours=1)
    design: Design = field(default_factory=Design)


@dataclass(frozen=True, slots=True)
class MetricDraft:
    """A metric as it was asked for; `definition` is `{"version": 1, "event": "<name>"}` (rule M1)."""

    name: str
    aggregation: Aggregation
    definition: object
    direction: Direction = Direction.UP
    description: str = ""
    window: timedelta | None = None


class Problems:
    """Collects what is wrong, field by field."""

    def __init__(self) -> None:
        self.errors: dict[str, list[str]] = {}

    def add(self, path: str, message: str) -> None:
        self.errors.setdefault(path, []).append(message)

    def require(self, holds: bool, path: str, message: str) -> None:
        if not holds:
            self.add(path, message)

    def raise_any(self) -> None:
        """Raise ConfigurationError when anything was added."""
        if self.errors:
            raise ConfigurationError(self.errors)


def draft_of(experiment: Experiment) -> ExperimentDraft:
    """The draft that would declare this experiment again: what a change starts from."""
    return ExperimentDraft(
        name=experiment.name,
        feature=experiment.feature,
        variants=tuple(VariantDraft(v.key, v.percentage_allocation, v.role) for v in experiment.variants),
        key=experiment.key,
        hypothesis=experiment.hypothesis,
        metrics=tuple(AttachmentDraft(a.metric.id, a.expected_direction) for a in experiment.metrics),
        multiple_exposures=experiment.multiple_exposures,
        refresh_interval=experiment.refresh_interval,
        design=experiment.design,
    )


def draft_of_metric(metric: Metric) -> MetricDraft:
    """The draft that would declare this metric again."""
    return MetricDraft(
        name=metric.name,
        aggregation=metric.aggregation,
        definition=definition_of(metric),
        direction=metric.direction,
        description=metric.description,
        window=metric.window,
    )


def definition_of(metric: Metric) -> dict[str, object]:
    """A metric's versioned definition (rule M1)."""
    return {"version": DEFINITION_VERSION, "event": metric.event}


def check_name(name: str) -> None:
    """A name of anything: one line of at most 255 characters."""
    problems = Problems()
    _check_name(problems, "name", name)
    problems.raise_any()


def check_environment(key: str, name: str) -> None:
    """Rule E8."""
    problems = Problems()
    if not ENVIRONMENT_KEY.fullmatch(key):
        problems.add("key", "Must be 1 to 255 letters, digits, dots, underscores or hyphens.")
    _check_name(problems, "name", name)
    problems.raise_any()


def check_metric(draft: MetricDraft) -> str:
    """Rule M1. Returns the event that the metric counts."""
    problems = Problems()
    _check_name(problems, "name", draft.name)
    _check_text(problems, "description", draft.description)
    if draft.window is not None:
        _check_duration(problems, "window", draft.window, shortest=timedelta(seconds=1))
    event = _event_of(problems, draft.definition)
    problems.raise_any()
    return event


def check_experiment(draft: ExperimentDraft) -> tuple[Variant, ...]:
    """Rules L3 and L6. Returns the variants in full: control added where it was left out, roles and shares resolved."""
    problems = Problems()
    if draft.key is not None and not EXPERIMENT_KEY.fullmatch(draft.key):
        problems.add("key", "Must begin with a letter and hold up to 80 letters, digits, underscores or hyphens.")
    _check_name(problems, "name", draft.name)
    _check_text(problems, "hypothesis", draft.hypothesis)
    _check_line(problems, "feature", draft.feature)
    if len(draft.feature.encode(errors="replace")) > FEATURE_BYTES:
        problems.add("feature", f"Must not be longer than {FEATURE_BYTES} bytes.")
    _check_duration(problems, "refresh_interval", draft.refresh_interval, shortest=SHORTEST_REFRESH_INTERVAL)
    _check_design(problems, draft.design)
    variants = _resolve_variants(problems, draft.variants)
    problems.raise_any()
    return variants


def key_from_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """Rule L6: a free key made from the name, numbered from 2 on where others have it."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    stem = (words if words[:1].isalpha() else f"experiment-{words}".strip("-"))[:70].strip("-")
    return next(key for key in _numbered(stem) if not is_taken(key))


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _resolve_variants(problems: Problems, drafts: tuple[VariantDraft, ...]) -> tuple[Variant, ...]:
    """Rule L3: one control, at least one treatment, unique keys, at most 100 %."""
    before = len(problems.errors)
    stated = [_stated_variant(problems, f"variants.{position}", draft) for position, draft in enumerate(drafts)]
    if len(problems.errors) > before:
        return ()
    if not any(variant.role is VariantRole.CONTROL for variant in stated):
        stated.insert(0, Variant(key=CONTROL, role=VariantRole.CONTROL))
    controls = [variant for variant in stated if variant.role is VariantRole.CONTROL]
    problems.require(len(controls) == 1, "variants", "Exactly one variant must be the control.")
    problems.require(
        any(variant.role is VariantRole.TREATMENT for variant in stated),
        "variants",
        "Only multivariate features can be experimented on: add a treatment.",
    )
    keys = Counter(variant.key for variant in stated if variant.key is not None)
    for key in (key for key, times in keys.items() if times > 1):
        problems.add("variants", f"Variant keys must be unique, got '{key[:80]}' more than once.")
    if len(problems.errors) > before:
        return ()
    return _with_control_share(problems, stated, controls[0])


def _stated_variant(problems: Problems, path: str, draft: VariantDraft) -> Variant:
    key = draft.key or None  # rule L3: an empty key is null
    if key is not None:
        _check_line(problems, f"{path}.key", key)
        if len(key) > VARIANT_KEY_LENGTH:
            problems.add(f"{path}.key", f"Must not be longer than {VARIANT_KEY_LENGTH} characters.")
    role = draft.role or (VariantRole.CONTROL if key == CONTROL else VariantRole.TREATMENT)
    if (key == CONTROL) != (role is VariantRole.CONTROL):
        problems.add(f"{path}.key", f"The key '{CONTROL}' is reserved for the control, which must have it.")
    share = draft.percentage_allocation
    if share is None and role is not VariantRole.CONTROL:
        problems.add(f"{path}.percentage_allocation", "This field is required; only control may leave it out.")
    if share is not None and not (math.isfinite(share) and 0 <= share <= 100):
        problems.add(f"{path}.percentage_allocation", "Must be a number from 0 to 100.")
    return Variant(key=key, role=role, percentage_allocation=share)


def _with_control_share(problems: Problems, stated: list[Variant], control: Variant) -> tuple[Variant, ...]:
    """Rule S1: control takes the unallocated remainder, and what was stated for it must be just that."""
    others = [v.percentage_allocation or 0.0 for v in stated if v is not control]
    remainder = unallocated(others)
    if remainder < 0:
        problems.add("variants", f"Variant allocations must not exceed 100%, got {math.fsum(others):g}%.")
    elif control.percentage_allocation is not None and unallocated([*others, control.percentage_allocation]) != 0:
        total = math.fsum([*others, control.percentage_allocation])
        message = (
            f"Variant allocations must not exceed 100%, got {total:g}%."
            if total > 100
            else f"Control takes what is not allocated, {remainder:g}%: leave its allocation out or state just that."
        )
        problems.add("variants", message)
    return tuple(Variant(v.key, v.role, remainder) if v is control else v for v in stated)


def _event_of(problems: Problems, definition: object) -> str:
    if not isinstance(definition, dict):
        problems.add("definition", "Definition must be an object.")
        return ""
    version, event = definition.get("version"), definition.get("event")
    if isinstance(version, bool) or version != DEFINITION_VERSION:
        problems.add("definition", "Definition must specify a supported 'version'.")
    if not isinstance(event, str) or not event.strip():
        problems.add("definition", "Definition must specify a non-empty 'event'.")
        return ""
    _check_line(problems, "definition.event", event)
    problems.require(len(event) <= 2_000, "definition.event", "Must not be longer than 2000 characters.")  # rule E3
    for unknown in sorted(str(name) for name in definition.keys() - {"version", "event"}):
        problems.add("definition", f"Definition has no '{unknown[:80]}'.")
    return event


def _check_design(problems: Problems, design: Design) -> None:
    def within(value: float, low: float, high: float) -> bool:
        return math.isfinite(value) and low < value < high

    problems.require(within(design.alpha, 0, 0.5), "design.alpha", "Must lie between 0 and 0.5.")
    problems.require(within(design.power, 0, 1), "design.power", "Must lie between 0 and 1.")
    problems.require(1 <= design.n_looks <= MAX_LOOKS, "design.n_looks", f"Must lie between 1 and {MAX_LOOKS}.")
    if design.mde is not None:
        problems.require(within(design.mde, 0, math.inf), "design.mde", "Must be greater than 0.")
    if design.baseline is not None:
        problems.require(math.isfinite(design.baseline), "design.baseline", "Must be a finite number.")


def _check_name(problems: Problems, path: str, name: str) -> None:
    _check_line(problems, path, name)
    problems.require(len(name) <= NAME_LENGTH, path, f"Must not be longer than {NAME_LENGTH} characters.")


def _check_line(problems: Problems, path: str, text: str) -> None:
    problems.require(bool(text.strip()), path, "Must not be empty.")
    problems.require(not CONTROL_CHARACTER.search(text), path, "Must not hold control characters.")


def _check_text(problems: Problems, path: str, text: str) -> None:
    problems.require(not NOT_TEXT.search(text), path, "Must not hold null characters or half of a surrogate pair.")
    problems.require(len(text) <= TEXT_LENGTH, path, f"Must not be longer than {TEXT_LENGTH} characters.")


def _check_duration(problems: Problems, path: str, duration: timedelta, *, shortest: timedelta) -> None:
    if not shortest <= duration <= LONGEST_DURATION or duration.microseconds:
        low, high = int(shortest.total_seconds()), int(LONGEST_DURATION.total_seconds())
        problems.add(path, f"Must be whole seconds from {low} to {high}.")
