"""The asset `events`: what it tells Dagster of an ingestion."""

import dagster as dg

from tests.assets.conftest import Installation, crowd
from tests.lake.ledger import record


def told(installation: Installation, entry: str) -> object:
    """Return the metadata of the newest materialisation."""
    (record,) = installation.instance.fetch_materializations(dg.AssetKey("events"), limit=1).records
    materialization = record.asset_materialization
    assert materialization is not None
    return materialization.metadata[entry].value


def test_events__what_is_not_ingested__is_in_the_metadata(installation: Installation) -> None:
    installation.land("first", crowd(1, 1))
    folder = installation.settings.landing_dir / "events/env_key=prod/2026/03/01/00"
    for number in range(21):
        (folder / f"{number:02}.csv").write_text("")
    installation.ingest()
    ignored = told(installation, "ignored")
    assert isinstance(ignored, dict)
    assert ignored.pop("and more") == 1
    assert set(ignored.values()) == {"unknown_suffix"}
    assert len(ignored) == 20
    assert told(installation, "unreadable") == {}


def test_events__unknown_fields__are_in_the_metadata(installation: Installation) -> None:
    installation.land("first", [*crowd(1, 1), record(revenue=12, **{f"f{number:02}": 1 for number in range(20)})])
    installation.ingest()
    fields = told(installation, "unknown_fields")
    assert isinstance(fields, dict)
    assert (fields.pop("and more"), len(fields), fields["f00"]) == (1, 20, 1)


def test_events_check__of_many_damaged_objects__names_the_first_and_counts_the_others(
    installation: Installation,
) -> None:
    folder = installation.settings.landing_dir / "events/env_key=prod/2026/03/01/00"
    folder.mkdir(parents=True)
    for number in range(53):
        (folder / f"{number:02}.jsonl").write_text("{")
    result = installation.definitions.resolve_job_def("ingest_events").execute_in_process(
        instance=installation.instance
    )
    check, *others = sorted(result.get_asset_check_evaluations(), key=lambda each: (each.passed, each.check_name))
    assert [(other.check_name, other.passed) for other in others] == [
        ("lake_is_sound", True),
        ("sources_are_loaded", True),
    ]
    problems = check.metadata["problems"].value
    assert isinstance(problems, dict)
    assert not check.passed
    assert problems.pop("and more") == 33
    assert set(problems.values()) == {"not_json"}
    what_to_do = check.metadata["what_to_do"].value
    assert isinstance(what_to_do, dict)
    assert what_to_do["not_json"].startswith("no line of it is JSON: write one record a line")
