"""What every engine must do for audiences: who is analysed, from when on, and in which groups (M15, M19, M20, M23)."""

import json
from dataclasses import replace

import pytest

from experiment_pipeline.domain.aggregates import UNCAPPED, Group, MetricAggregates, Part
from experiment_pipeline.domain.analysis import AnalysisScope
from experiment_pipeline.domain.audience import Audience, Dimension
from experiment_pipeline.domain.experiments import MultipleExposures
from experiment_pipeline.domain.field_types import FieldType, FieldTypes
from experiment_pipeline.domain.measures import Aggregation, Bound, Condition, Events, Measure, Operator
from experiment_pipeline.domain.metrics import Funnel, Mean, Metric, Statistic
from experiment_pipeline.warehouse.base import LakeWarehouse as Warehouse
from experiment_pipeline.warehouse.frame_schemas import metric_aggregates, validated
from tests.warehouse.contract import DAY, HOUR, LENGTH, MILLISECOND, PURCHASE, Build, Event, did, scope, seen

SPENT = Mean(Measure(Events(PURCHASE), Aggregation.SUM))
COUNTRY, DEVICE = Dimension("country", "country"), Dimension("device", "device.kind")


def of(audience: Audience) -> AnalysisScope:
    return replace(scope(), audience=audience)


def measured(engine: Warehouse, of: AnalysisScope, statistic: Statistic = SPENT) -> MetricAggregates:
    engine.write_first_exposures(of)
    rows = engine.variant_aggregates(of, (Metric(1, "prod", "metric", statistic),)).rows
    (found,) = metric_aggregates(validated("variant_aggregates", rows))
    return found


def seen_from(identity: int, variant: str, **traits: object) -> Event:
    return replace(seen(identity, variant), traits=json.dumps(traits))


def n_and_sum(found: MetricAggregates) -> dict[str, tuple[int, float]]:
    return {variant: (each.n, each.sum) for variant, each in found.by_variant.items() if each is not None}


def sums(found: MetricAggregates, name: str = "country") -> dict[tuple[str | None, bool], dict[str, tuple[int, float]]]:
    """n and sum by variant, of every group of a dimension."""
    return {
        (group.value, group.is_other): {
            variant: (each.n, each.sum) for variant, each in part.by_variant.items() if each and each.n
        }
        for group, part in found.groups.items()
        if (group.part, group.name) == (Part.DIMENSION, name)
    }


class AudienceContract:
    """Inherit, and give `build`."""

    def test_dimension__is_the_trait_at_the_first_exposure__m15(self, build: Build) -> None:
        later = replace(seen(1, "b", 2 * HOUR), traits='{"country": "FR"}')
        early = replace(seen(2, "b", -HOUR), traits='{"country": "FR"}')
        engine = build([seen_from(1, "b", country="DE"), later, early, seen_from(2, "b", country=None), did(1, 5)])
        found = measured(engine, of(Audience(dimensions=(COUNTRY,))))
        assert sums(found) == {("DE", False): {"b": (1, 5)}, (None, False): {"b": (1, 0)}}
        assert found.by_variant["b"] is not None
        assert (found.by_variant["b"].n, found.by_variant["b"].sum) == (2, 5)

    def test_dimension__of_exposures_at_one_time__is_that_of_the_smallest_hash_in_the_variant__m15(
        self, build: Build
    ) -> None:
        tied = [("c", (-9, 0), "other"), ("b", (1, -5), "second"), ("b", (0, 7), "first"), ("b", (1, -6), "third")]
        exposures = [replace(seen(1, v), hash=h, traits=json.dumps({"country": text})) for v, h, text in tied]
        first = replace(of(Audience(dimensions=(COUNTRY,))), multiple_exposures=MultipleExposures.FIRST)
        assert list(sums(measured(build(exposures), first))) == [("first", False)]

    def test_dimension__of_a_scalar__is_its_text_and_of_anything_else_is_null__m15(self, build: Build) -> None:
        values = ["5", 5, True, "", {"a": 1}, ["x"], None]
        engine = build([seen_from(number, "b", country=value) for number, value in enumerate(values)])
        found = sums(measured(engine, of(Audience(dimensions=(COUNTRY,)))))
        assert {value: each["b"][0] for (value, _), each in found.items()} == {"5": 2, "true": 1, "": 1, None: 3}

    @pytest.mark.parametrize(
        "number", ["1e2", "2.50", "-0", "0", "-0.0", "100", "1E+2", "0.1", "12345678901234567890123", "1e400"]
    )
    def test_dimension__of_a_number__is_what_was_written__m15(self, build: Build, number: str) -> None:
        around = [f'{{"b\\"c": "7\\\\", "d": [1, {{"country": 3}}], "country": {number}, "country": 4, "e": "\\"5"}}']
        around += [f'{{"e":-1.5e3,"country":{number}}}', f' {{ "country" : {number} , "t": true, "n": null}}']
        engine = build([replace(seen(at, "b"), traits=text) for at, text in enumerate(around)])
        assert sums(measured(engine, of(Audience(dimensions=(COUNTRY,))))) == {(number, False): {"b": (3, 0)}}

    def test_dimension__of_many_values__has_the_twenty_largest_and_others__m15(self, build: Build) -> None:
        exposed = [(f"v{value:02}", "b") for value in range(25) for _ in range(2 if value > 21 else 1)]
        engine = build([
            *(seen_from(number, variant, country=value) for number, (value, variant) in enumerate(exposed)),
            *(seen_from(100 + number, "unheard of", country="v20") for number in range(5)),
        ])  # fmt: skip
        found = sums(measured(engine, replace(of(Audience(dimensions=(COUNTRY,))), variants=("b",))))
        kept = [f"v{value:02}" for value in (22, 23, 24, *range(17))]
        assert sorted(value for value, is_other in found if not is_other and value) == sorted(kept)
        assert found[None, True] == {"b": (5, 0.0)}

    def test_dimensions__crossed__have_a_group_for_each_pair__m20(self, build: Build) -> None:
        engine = build([
            seen_from(1, "b", country="DE", device={"kind": "ios"}),
            seen_from(2, "b", country="DE", device={"kind": "web"}),
            seen_from(3, "b", country="DE"),
            did(2, 7),
        ])  # fmt: skip
        crossed = Audience(dimensions=(COUNTRY, DEVICE), cross=(("country", "device"),))
        found = measured(engine, of(crossed))
        assert sums(found, "country × device") == {
            ('["DE","ios"]', False): {"b": (1, 0)},
            ('["DE","web"]', False): {"b": (1, 7)},
            ('["DE",null]', False): {"b": (1, 0)},
        }
        devices = {value: each["b"] for (value, _), each in sums(found, "device").items()}
        assert devices == {"ios": (1, 0), "web": (1, 7), None: (1, 0)}

    def test_groups__have_the_bounds_of_everybody_and_no_parts_of_their_own__m10(self, build: Build) -> None:
        engine = build([seen_from(1, "b", country="DE"), seen_from(2, "b", country="FR"), did(1, 5), did(2, 50)])
        audience = of(Audience(dimensions=(COUNTRY,)))
        capped = Mean(Measure(Events(PURCHASE), Aggregation.SUM, cap=Bound(percentile=51)))
        found = measured(engine, audience, capped)
        assert {value: each["b"][1] for (value, _), each in sums(found).items()} == {"DE": 5, "FR": 50}
        funnel = measured(engine, audience, Funnel((Events(PURCHASE), Events(PURCHASE))))
        assert [group.name for group in funnel.groups] == ["country", "country", "1", "2"]
        assert funnel.groups[Group(Part.DIMENSION, "country", "DE")].groups == {}

    @pytest.mark.parametrize("policy", list(MultipleExposures))
    def test_sensitivity__has_the_analysis_of_the_other_policy_in_the_same_scan__x3(
        self, build: Build, policy: MultipleExposures
    ) -> None:
        engine = build([
            *(seen_from(number, "b", country="DE") for number in (1, 2)), seen(2, "control", 2 * HOUR),
            seen_from(3, "control", country="FR"), did(1, 5), did(2, 50), did(3, 7),
        ])  # fmt: skip
        audience = replace(of(Audience(dimensions=(COUNTRY,))), multiple_exposures=policy)
        engine.write_first_exposures(audience)
        metrics = (Metric(1, "prod", "metric", SPENT), Metric(2, "prod", "other", SPENT))
        rows = engine.variant_aggregates(audience, metrics, sensitive=metrics[0]).rows
        found, other = metric_aggregates(validated("variant_aggregates", rows))
        both = {
            MultipleExposures.EXCLUDE: {"b": (1, 5), "control": (1, 7)},
            MultipleExposures.FIRST: {"b": (2, 55), "control": (1, 7)},
        }
        assert n_and_sum(found) == both[policy]
        assert n_and_sum(found.sensitivity[policy.other.value]) == both[policy.other]
        assert n_and_sum(found.groups[Group(Part.DIMENSION, "country", "DE")])["b"] == both[policy]["b"]
        assert replace(found, metric_id=2, sensitivity={}) == replace(
            other, groups={group: replace(part, metric_id=1) for group, part in other.groups.items()}
        )
        assert list(found.sensitivity) == [policy.other.value]

    def test_sensitivity__of_a_variant_that_nobody_saw_alone__has_its_identities__x3(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(1, "control", 2 * HOUR), did(1, 5)])
        engine.write_first_exposures(scope())
        metric = Metric(1, "prod", "metric", SPENT)
        (found,) = metric_aggregates(engine.variant_aggregates(scope(), (metric,), sensitive=metric).rows)
        assert (n_and_sum(found), n_and_sum(found.sensitivity["first"])) == ({"b": (0, 0)}, {"b": (1, 5)})

    def test_sensitivity__of_a_cap__is_the_metric_without_it_and_with_that_of_the_other_policy__m10(
        self, build: Build
    ) -> None:
        engine = build([
            *(seen(number, "b") for number in (1, 2, 3)), seen(3, "control", 2 * HOUR),
            did(1, 5), did(2, 50), did(3, 500),
        ])  # fmt: skip
        engine.write_first_exposures(scope())
        capped = Mean(Measure(Events(PURCHASE), Aggregation.SUM, cap=Bound(percentile=75)))
        metric = Metric(1, "prod", "metric", replace(capped, measure=replace(capped.measure, floor=Bound(at=7))))
        (found,) = metric_aggregates(engine.variant_aggregates(scope(), (metric,), sensitive=metric).rows)
        assert (n_and_sum(found), found.bounds and found.bounds.cap) == ({"b": (2, 57)}, 50)
        first, uncapped = found.sensitivity["first"], found.sensitivity[UNCAPPED]
        assert (n_and_sum(first), first.bounds and first.bounds.cap) == ({"b": (3, 557)}, 500)
        assert (n_and_sum(uncapped), uncapped.bounds) == ({"b": (2, 55)}, None)

    def test_field_types__of_exposures__are_those_of_the_flag_in_the_window_with_samples__m7(
        self, build: Build
    ) -> None:
        values = ["5", 5, -7, True, {"a": 1}, None, "x" * 100]
        engine = build([
            *(seen_from(number, "b", country=value, device={"kind": "ios"}) for number, value in enumerate(values)),
            replace(seen(1, "b", feature="banner"), traits='{"country": 1}'),
            replace(seen(1, "b", -HOUR), traits='{"country": 1}'),
            replace(seen(1, "b", batch=2), traits='{"country": 1}'),
        ])  # fmt: skip
        country, device, nothing = engine.field_types(
            scope(), "$flag_exposure", ["traits.country", "traits.device.kind", "metadata.country"]
        )
        assert country == FieldTypes(
            "$flag_exposure",
            "traits.country",
            {FieldType.BOOLEAN: 1, FieldType.NESTED: 1, FieldType.NUMBER: 2, FieldType.TEXT: 2},
            {
                FieldType.BOOLEAN: ("true",),
                FieldType.NESTED: ('{"a":1}',),
                FieldType.NUMBER: ("-7", "5"),
                FieldType.TEXT: ('"5"', '"' + "x" * 39),
            },
        )
        assert (device.counts, device.samples) == ({FieldType.TEXT: 7}, {FieldType.TEXT: ('"ios"',)})
        assert (nothing.counts, nothing.is_mixed) == ({}, False)

    def test_field_types__of_other_events__are_of_that_name__m7(self, build: Build) -> None:
        bought = [replace(did(number, 1), metadata=f'{{"plan": {plan}}}') for number, plan in enumerate((1, '"a"', 2))]
        engine = build(bought, [replace(did(1, 1, event="viewed"), metadata='{"plan": true}')])
        (plan,) = engine.field_types(scope(), PURCHASE, ["metadata.plan"])
        assert plan.counts == {FieldType.NUMBER: 2, FieldType.TEXT: 1}

    def test_only__leaves_out_who_does_not_meet_it_at_the_first_exposure__m23(self, build: Build) -> None:
        later = replace(seen(2, "b", 2 * HOUR), traits='{"country": "DE"}')
        engine = build([seen_from(1, "b", country="DE"), seen_from(2, "b", country="FR"), later, seen(3, "b")])
        audience = of(Audience(only=(Condition("traits.country", Operator.IS, "DE"),)))
        assert engine.write_first_exposures(audience).identities == 1
        assert engine.variant_identities(audience) == {"b": 1}

    def test_exclude_identifiers__leaves_them_out_of_everything__m23(self, build: Build) -> None:
        engine = build([seen(1, "b"), seen(2, "b"), seen(2, "c"), seen(3, "c"), did(1, 5)])
        audience = of(Audience(exclude_identifiers=("1", "2", "nobody")))
        written = engine.write_first_exposures(audience)
        assert (written.identities, written.quarantined) == (1, 0)
        assert engine.variant_identities(audience) == {"c": 1}

    def test_entry__starts_the_analysis_of_who_has_it__m19(self, build: Build) -> None:
        viewed = Events("viewed", (Condition("metadata.page", Operator.IS, "checkout"),))

        def view(identity: int, at: int, page: str = "checkout") -> Event:
            return replace(did(identity, None, at * HOUR, event="viewed"), metadata=json.dumps({"page": page}))

        engine = build(
            [seen(1, "b"), seen(2, "b"), seen(3, "c"), seen(4, "c", LENGTH - HOUR)],
            [view(1, 0), view(1, 2, "home"), view(1, 4), view(1, 3), view(2, 0), view(3, 1)],
            [did(1, 1, 3 * HOUR - MILLISECOND), did(1, 10, 3 * HOUR), did(3, 100, HOUR), did(2, 1000)],
            [replace(view(4, 0), at=LENGTH)],
        )
        audience = of(Audience(entry=viewed))
        found = measured(engine, audience)
        spent = {key: each and (each.n, each.sum) for key, each in found.by_variant.items()}
        assert spent == {"b": (1, 10), "c": (1, 100)}
        assert engine.variant_identities(audience) == {"b": 1, "c": 1}
        assert engine.variant_identities(audience, before_entry=True) == {"b": 2, "c": 2}
        assert sum(engine.exposure_buckets(audience).rows["new_identities"]) == 4

    def test_entry__of_a_metric_with_a_pre_period__leaves_it_before_the_exposure__m11(self, build: Build) -> None:
        times = (HOUR - MILLISECOND, 2 * HOUR, 3 * HOUR)
        engine = build([seen(1, "b"), did(1, None, 3 * HOUR - MILLISECOND, event="viewed")], [
            did(1, 10**place, at) for place, at in enumerate(times)
        ])  # fmt: skip
        found = measured(engine, of(Audience(entry=Events("viewed"))), replace(SPENT, covariate_before=DAY))
        assert found.joint["b"] is not None
        assert (found.joint["b"].mean_x, found.joint["b"].mean_y) == (1, 100)

    def test_audience__of_all_at_once__agrees(self, build: Build) -> None:
        engine = build([seen_from(identity, "b", country="DE") for identity in range(4)], [did(2, 1), did(3, 2)])
        audience = Audience(
            only=(Condition("traits.country", Operator.EXISTS, True), Condition("value", Operator.IS, "b")),
            exclude_identifiers=("3",),
            entry=Events(PURCHASE),
            dimensions=(COUNTRY,),
        )
        assert sums(measured(engine, of(audience))) == {("DE", False): {"b": (1, 1)}}
