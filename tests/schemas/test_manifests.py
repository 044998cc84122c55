"""Bodies and manifests: parsed strictly, errors name line or field."""

from datetime import timedelta
from pathlib import Path

import pytest

from experiment_pipeline.domain.sources import Cursor
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifests import parse_manifest

ENVIRONMENT = "environments: {production: {}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "line 1: expected ',' or ']'"),
        ("environments: {a: {}}\nenvironments: {b: {}}", "line 2: duplicate key 'environments'"),
        ("just text", "YAML: Must be a mapping"),
        ("", "YAML: Must be a mapping"),
        ("a: !!python/object:os.system {}", "line 1: could not determine a constructor"),
        ("\x00", "YAML: unacceptable character"),
        ("? [a, b]\n: 1", "line 1: "),
        (ENVIRONMENT + "experimets: {}", "experimets: Unknown field. Did you mean 'experiments'?"),
        (ENVIRONMENT + "metrics: {m: {aggregation: total, definition: {}}}",
         "metrics.m.aggregation: Must be 'occurrence', 'count', 'sum' or 'mean', got 'total'."),
        ("environments: {a: {}, b: {}}\nmetrics: {m: {aggregation: sum, definition: {}}}",
         "metrics.m.environment: This field is required: the file declares several environments. Name one of a, b."),
        (ENVIRONMENT + "experiments: {e: {key: f, hypothesis: h, feature: f, variants: []}}",
         "experiments.e.key: Must be left out"),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [{key: 1}]}}",
         "experiments.e.variants.0.key: Must be text: write \"1\", in quotes."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], started_at: 2026-01-01T00:00:00}}",
         "experiments.e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        *(
            (ENVIRONMENT + f"experiments: {{e: {{hypothesis: h, feature: f, variants: [], started_at: {number}}}}}",
             f"e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z, not the number {number}.")
            for number in (20261101, 1772400000, 1772400000.5)
        ),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], ended_at: '1772400000'}}",
         "experiments.e.ended_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], started_at: 2026-11-01}}",
         "experiments.e.started_at: Must be a time with a zone, such as 2026-11-01T00:00:00Z."),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], refresh_interval: soon}}",
         "experiments.e.refresh_interval: Must be whole seconds or an ISO-8601 duration such as PT1H, got 'soon'."),
        *(
            (f"metrics: {{m: {{definition: {{version: 2, statistic: mean, measure: {{where: [{{{condition}}}]}}}}}}}}",
             f"line 1: YAML reads {word} as {truth}: write '{word}' in quotes, or {truth}.")
            for condition, word, truth in (
                ("field: traits.country, is: NO", "NO", "false"),
                ("field: traits.country, in: [DE, no]", "no", "false"),
                ("field: traits.state, not_in: [Yes]", "Yes", "true"),
            )
        ),
        (ENVIRONMENT + "experiments: {e: {hypothesis: h, feature: f, variants: [], metrics: [{metric: true}]}}",
         "experiments.e.metrics.0.metric: Must be a metric's id or its name."),
    ],
)  # fmt: skip
def test_parse_manifest__broken_file__names_line_or_field(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parse_manifest__entries_without_names__are_named_by_their_place() -> None:
    manifest = parse_manifest(
        ENVIRONMENT + "metrics: {m: {name: null, aggregation: sum, definition: {}}}\n"
        "experiments: {e: {name: '', hypothesis: h, feature: f, variants: []}}"
    )
    experiment = manifest.experiments["e"]
    assert (manifest.metrics["m"].name, manifest.metrics["m"].environment) == ("m", "production")
    assert (experiment.key, experiment.name, experiment.environment) == ("e", "e", "production")


@pytest.mark.parametrize("text", ["{}", "environments:", "environments: {}", "metrics:"])
def test_parse_manifest__without_environments__is_allowed(text: str) -> None:
    assert parse_manifest(text).environments == {}


def test_parse_manifest__environment_without_a_value__is_declared_without_a_name() -> None:
    assert parse_manifest("environments: {production: }").environments["production"].name is None


WRONG_AND_RIGHT = (
    "environments: {a: {}}\nmetrics: {right: {aggregation: sum, definition: {}}, wrong: 5}\nexperiments: {wrong: 5}"
)


@pytest.mark.parametrize("only", [["metrics.right"], ["environments", "metrics.right"]])
def test_parse_manifest__only_one_entry__ignores_what_is_wrong_elsewhere(only: list[str]) -> None:
    manifest = parse_manifest(WRONG_AND_RIGHT, only=only)
    assert (list(manifest.metrics), list(manifest.experiments)) == (["right"], [])
    assert manifest.metrics["right"].environment == "a"
    assert bool(manifest.environments) is ("environments" in only)


def test_parse_manifest__only_an_entry_that_is_not_there__names_the_likely_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(WRONG_AND_RIGHT, only=["metrics.rihgt"])
    assert str(refused.value) == "--only: The file has no 'metrics.rihgt'. Did you mean 'metrics.right'?"


def test_parse_manifest__several_environments__each_entry_names_its_own() -> None:
    manifest = parse_manifest(
        "environments: {a: {}, b: {}}\nmetrics: {m: {environment: b, aggregation: sum, definition: {}}}"
    )
    assert (manifest.metrics["m"].environment, manifest.metrics["m"].name) == ("b", "m")


SOURCES = (
    "environments: {prod: {}}\nconnections: {shop: {url_env: SHOP_DATABASE_URL}, exports: {url: 'duckdb://in/*.csv'}}\n"
    "sources:\n  orders: {files: 'exports/*.csv', as: {event: purchased, identifier: user, timestamp: at}}\n"
    "  wide:\n    connection: shop\n    query: select * from orders\n    cursor: {column: loaded_at, overlap: PT1H}\n"
    "    as:\n      - {event: purchased, identifier: user, timestamp: at, value: {column: price, map: {free: '0'}}}\n"
    "      - {feature: button, variant: arm, identifier: user, timestamp: {constant: 2026-01-05T00:00:00Z}}\n"
)


def test_parse_manifest__sources__have_paths_from_the_root_and_a_list_of_mappings() -> None:
    manifest = parse_manifest(SOURCES, folder=Path("/w"))
    orders, wide = manifest.sources["orders"], manifest.sources["wide"]
    assert (orders.files, manifest.connections["exports"].url) == ("/w/exports/*.csv", "duckdb:///w/in/*.csv")
    assert [mapping.is_exposure for mapping in wide.mappings] == [False, True]
    assert wide.cursor == Cursor("loaded_at", timedelta(hours=1))
    assert orders.environment == "prod"
    assert wide.mappings[1].timestamp.constant == "2026-01-05T00:00:00Z"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{files: a.csv, as: {evnt: bought, identifier: user, timestamp: at}}",
         "sources.orders.as.evnt: Unknown field. Did you mean 'event'?"),
        ("{files: a.csv, as: [{event: bought, identifier: user, timestamp: at}, {event: bought, identifier: user}]}",
         "sources.orders.as.1.timestamp: This field is required."),
        ("{files: a.csv, as: {event: {colum: a}, identifier: user, timestamp: at}}",
         "sources.orders.as.event.colum: Unknown field. Did you mean 'column'?"),
        *((f"{{files: a.csv, as: {{event: bought, identifier: user, timestamp: at, event_id: {value}}}}}",
           f"sources.orders.as.event_id: {message}")
          for value, message in {"no": "Must be text, and YAML reads on, off, yes, no", "7": 'Must be text: write "7"',
                                 "2026-01-05": 'Must be text: write "2026-01-05", in quotes.'}.items()),
        ("{files: a.csv, as: [{event: off, identifier: user, timestamp: at}]}",
         "sources.orders.as.0.event: Must be text, and YAML reads"),
        ("{files: s3://bucket/a.csv, as: {event: bought, identifier: user, timestamp: at}}",
         "sources.orders.files: Must be a path, a glob or a folder of this machine: s3:// and other schemes"),
        ("{files: a.csv}", "sources.orders.as: This field is required."),
        ("{files: a.csv, as: []}", "sources.orders.as: Must not be empty."),
        ("{files: a.csv, as: rows}",
         "sources.orders.as: Must be a mapping such as {event: purchased, identifier: user_id, timestamp: created_at}"),
        ("{files: a.csv, as: {identifier: user, timestamp: at}, every: PT1S}",
         "sources.orders.every: Must be whole seconds from 60 to"),
        ("{files: a.csv, as: {identifier: user, timestamp: at}, timezone: Berlin}",
         "sources.orders.timezone: 'Berlin' is no time zone"),
        ("{files: a.csv, as: {identifier: user, timestamp: at}, rows: newest}",
         "sources.orders.rows: Must be 'append' or 'latest', got 'newest'."),
        ("{file: a.csv, as: {identifier: user, timestamp: at}}",
         "sources.orders.file: Unknown field. Did you mean 'files'?"),
    ],
)  # fmt: skip
def test_parse_manifest__broken_source__names_the_field_as_it_is_written(entry: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_manifest(f"environments: {{prod: {{}}}}\nsources: {{orders: {entry}}}")
    assert message in str(refused.value)
