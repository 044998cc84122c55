"""What moved between two looks, by the engine over a real lake and by plain Python: random late histories (rule R9)."""

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.looks import Look, Movement
from experiment_pipeline.errors import RowsDropped
from experiment_pipeline.lake.compaction import compact
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.lake import Lake
from tests.lake.ledger import NOW
from tests.properties.translated import experiment_of, warehouse_of
from tests.reference.events import EPOCH, LINK, MILLISECOND, LandingObject
from tests.reference.exposures import Experiment, Variant
from tests.reference.looks import Moved, moved
from tests.reference.metrics import (
    Bound,
    Condition,
    Events,
    Funnel,
    Mean,
    Measure,
    Metric,
    Quantile,
    Ratio,
    Retention,
    Statistic,
    version_1,
)
from tests.reference.visible import visible_events
from tests.strategies import (
    AS_EXPOSURE,
    DAY,
    ENVIRONMENTS,
    FEATURE,
    HOUR,
    LANDED_LATE,
    STARTED_AT,
    object_name,
    written,
)

GERMAN = Condition("traits.country", "is", "DE")
ORDERS, VIEWS = Events("purchase"), Events("view")
STATISTICS: tuple[Statistic, ...] = (
    Mean(Measure(ORDERS, "sum", cap=Bound(percentile=90, of_nonzero=True)), before=2 * DAY),
    Mean(Measure(Events("purchase", (GERMAN,)), "last")),
    Mean(Measure(Events("view", start=HOUR, end=DAY), "days")),
    Ratio(Measure(ORDERS, "sum"), Measure(VIEWS, "count")),
    Quantile(0.9, Measure(ORDERS, "max")),
    Quantile(0.5, ORDERS),
    Funnel((VIEWS, ORDERS), within=DAY),
)
RETENTION = Metric(20, Retention(Measure(Events("view", start=DAY, end=2 * DAY), "occurrence")), complete=True)
METRICS = (
    version_1(1, "purchase", "occurrence"),
    version_1(2, "purchase", "mean", window=DAY),
    *(Metric(10 + number, statistic) for number, statistic in enumerate(STATISTICS)),
    RETENTION,
)
LENGTH = 4 * DAY
ARMS = ("control", "b", "h")


@dataclass(frozen=True)
class History:
    """Objects in two batches, an experiment that looks at both, and the as-of of a look at the first one."""

    batches: list[list[LandingObject]]
    experiment: Experiment
    earlier: datetime


def history(seed: int) -> History:
    """A history of 30 identities, some of whom see two variants; part of it comes in the second batch."""
    draw = random.Random(seed)
    late = draw.choice((0.05, 0.2, 0.4))
    lines: list[list[bytes]] = [[], []]
    for _ in range(260):
        who, after = draw.randrange(30), draw.randrange(-2 * 24 * 60, 4 * 24 * 60) * timedelta(minutes=1)
        record = {
            "identifier": json.dumps(f"user-{who}"),
            "timestamp": str((STARTED_AT + after - EPOCH) // MILLISECOND),
            "traits": draw.choice(('{"country": "DE"}', '{"country": "AT"}', None)),
        }
        if draw.random() < 0.35:
            variant = ARMS[who % 3] if who < 18 or draw.random() < 0.6 else draw.choice((*ARMS, "unknown"))
            record |= AS_EXPOSURE | {"value": json.dumps(variant)}
        else:
            value = draw.choice(('"1"', '"2.5"', '"-3"', '"free"'))
            record |= {"event": draw.choice(('"purchase"', '"view"', '"view"')), "value": value}
        lines[draw.random() < late].append(written(record))
    batches = [
        [
            LandingObject(
                object_name(ENVIRONMENTS[0], LANDED_LATE, number), ENVIRONMENTS[0], LANDED_LATE, b"\n".join(own)
            )
        ]
        for number, own in enumerate(lines)
    ]
    experiment = Experiment(
        environment_key=ENVIRONMENTS[0],
        feature=FEATURE,
        variants=(Variant("control", "control"), Variant("b", "treatment", 40), Variant("h", "holdout", 20)),
        metrics=draw.sample(METRICS, 3),
        started_at=STARTED_AT,
        as_of=STARTED_AT + LENGTH,
        data_version=2,
        multiple_exposures=draw.choice(("exclude", "first")),
        entry=draw.choice((None, None, None, VIEWS, Events("purchase", (GERMAN,)))),
        only=draw.choice(((), (), (), (GERMAN,))),
        exclude_identifiers=draw.choice(((), ("user-1", "user-2"))),
    )
    return History(batches, experiment, STARTED_AT + draw.choice((DAY, 2 * DAY, 3 * DAY, LENGTH)))


def history_of_sources(seed: int) -> History:
    """The same, where both batches are of a source whose rows supersede others; the second may replace the first."""
    draw, of = random.Random(seed), history(seed)
    (first,), (second,) = of.batches
    batches = []
    for number, (one, again) in enumerate(((first, False), (second, draw.random() < 0.3))):
        changed = draw.sample(first.content.splitlines(), 30) if number and not again else []
        lines = [
            json.loads(line) | {"event_id": str(draw.randrange(150))} for line in (*one.content.splitlines(), *changed)
        ]
        lines += [
            {
                "event": LINK,
                "identifier": f"user-{who}",
                "value": f"user-{draw.randrange(30)}",
                "event_id": f"link-{who}",
            }
            | {"timestamp": 1_772_000_000_000}
            for who in draw.sample(range(30), 4)
        ]
        folder = f"{'again-' if again else ''}v1-{number}"
        of_source = replace(
            one,
            name=f"events/env_key={ENVIRONMENTS[0]}/sources/orders/{folder}/part-00000.parquet",
            content=b"\n".join(json.dumps(line).encode() for line in lines),
            source="orders",
            replaces=again,
            cursors=tuple(draw.randrange(9) for _ in lines),
        )
        batches.append([of_source])
    return replace(of, batches=batches)


def reference(of: History) -> Moved:
    before, now = (visible_events(of.batches, version) for version in (1, 2))
    return moved(before, now, of.experiment, of.earlier)


def assert_engine_agrees(of: History, wanted: Moved, folder: Path, *, compacted: bool) -> None:
    experiment, scope = experiment_of(of.experiment)
    metrics = tuple(attached.metric for attached in experiment.metrics)
    engine = warehouse_of(of.batches, folder)
    if compacted:
        compact(Lake(folder / "lake"), NOW, whole=True)
    engine.write_first_exposures(scope)
    identities = engine.variant_identities(scope)
    compared = sum(n for variant, n in identities.items() if variant in experiment.compared_keys)
    payload = {
        "srm": {"identities": {"control": wanted.identities_before}},
        "metrics": [{"metric_id": metric.id} for metric in metrics],
    }
    look = Look(1, of.earlier, 1, of.earlier, "code", payload)
    assert Movement.since(look, compared, engine.late_analysis(scope, metrics, look), "code") == Movement(
        number=2,
        previous_as_of=of.earlier,
        new_identities=wanted.new_identities,
        late_events=wanted.late_events,
        restated_identities=wanted.restated_identities,
        newly_quarantined=wanted.newly_quarantined,
        removed_events=wanted.removed_events,
    )


@pytest.mark.parametrize("compacted", [False, True])
def test_late_analysis__of_a_random_late_history__equals_plain_python__r9(tmp_path: Path, *, compacted: bool) -> None:
    of = history(33)
    assert_engine_agrees(of, reference(of), tmp_path, compacted=compacted)


@pytest.mark.parametrize("seed", [1, 2, 4, 13])  # 13 has an entry event
def test_late_analysis__of_rows_that_leave_or_supersede_others__equals_plain_python__r9(
    tmp_path: Path, seed: int
) -> None:
    of = history_of_sources(seed)
    assert_engine_agrees(of, reference(of), tmp_path, compacted=seed % 2 == 0)


@pytest.mark.parametrize("seed", [2, 13])
def test_late_analysis__after_rows_that_were_removed_before_the_look_are_dropped__is_what_it_was__e6(
    tmp_path: Path, seed: int
) -> None:
    of = history_of_sources(seed)
    first = of.batches[0][0]
    lines = [line.replace(b'"event_id": "1', b'"event_id": "2') for line in first.content.splitlines()]
    third = replace(
        first, name=first.name.replace("v1-0", "v1-2"), content=b"\n".join(lines), cursors=(9,) * len(lines)
    )
    experiment, scope = experiment_of(replace(of.experiment, data_version=3))
    metrics = tuple(attached.metric for attached in experiment.metrics)
    engine = warehouse_of([*of.batches, [third]], tmp_path)
    engine.write_first_exposures(scope)
    look = Look(1, of.earlier, 2, of.earlier, "code", {"metrics": [{"metric_id": metric.id} for metric in metrics]})
    before = engine.late_analysis(scope, metrics, look)
    assert drop_removed(Lake(tmp_path / "lake"), 2)
    assert engine.late_analysis(scope, metrics, look) == before
    assert before.removed_events
    with pytest.raises(RowsDropped):
        engine.late_analysis(scope, metrics, replace(look, data_version=1))


@pytest.mark.slow
def test_late_analysis__of_50_random_late_histories__equals_plain_python__r9(tmp_path: Path) -> None:
    numbers = Counter[str]()
    for seed in range(50):
        of = history(seed)
        wanted = reference(of)
        assert_engine_agrees(of, wanted, tmp_path / str(seed), compacted=seed % 3 == 0)
        numbers.update({name: number > 0 for name, number in vars(wanted).items()})
        of = history_of_sources(seed)
        left = reference(of)
        assert_engine_agrees(of, left, tmp_path / f"sources-{seed}", compacted=seed % 3 == 0)
        numbers["removed_events"] += left.removed_events > 0
    assert min(numbers.values()) > 10, f"histories without anything to count: {numbers}"
