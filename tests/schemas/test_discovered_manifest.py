"""Manifests of what was discovered: valid once people have filled in what only they know."""

from datetime import UTC, datetime

import pytest

from experiment_pipeline.domain.discovery import ExposedVariant, UncoveredFlag, uncovered_flags
from experiment_pipeline.domain.drafts import check_experiment
from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.discovered_manifest import discovered_manifest
from experiment_pipeline.schemas.manifests import DeclaredExperiment, parse_manifest

FIRST = datetime(2015, 3, 1, 10, tzinfo=UTC)
LAST = datetime(2015, 3, 9, 10, 0, 0, 5_000, tzinfo=UTC)
AWKWARD = "a: 'b' # \"c\"\u2028\u202e\x1b{0} - é🎈"


def exposed(feature: str, *variants: str) -> list[ExposedVariant]:
    return [ExposedVariant(feature, variant, 1_200, 1_500, FIRST, LAST) for variant in variants]


def of(*seen: ExposedVariant, taken: tuple[str, ...] = ()) -> str:
    return discovered_manifest(uncovered_flags(seen, []), "prod", taken)


def declared(text: str) -> dict[str, DeclaredExperiment]:
    return parse_manifest(text).experiments


def test_manifest__as_it_is__asks_for_the_allocations() -> None:
    entry = declared(of(*exposed("button", "larger", "control")))["button"]
    assert [variant.key for variant in entry.variants] == ["control", "larger"]
    assert (entry.started_at, entry.environment) == (FIRST, "prod")
    with pytest.raises(ConfigurationError, match=r"variants\.1\.percentage_allocation: This field is required"):
        check_experiment(entry)


def test_manifest__filled_in__is_an_experiment() -> None:
    text = of(*exposed("button", "larger", "control"))
    assert "would always pass" in text
    assert "1,200 identities, 1,500 exposures, from 2015-03-01 to 2015-03-09" in text
    filled = text.replace("# percentage_allocation:", "percentage_allocation: 50")
    filled = filled.replace("status: running", "status: completed").replace(
        "# ended_at:", "ended_at: 2015-04-01T00:00:00Z"
    )
    entry = declared(filled)["button"]
    check_experiment(entry)
    assert (entry.status, entry.ended_at) == ("completed", datetime(2015, 4, 1, tzinfo=UTC))


def test_manifest__control_under_another_name__is_written_as_control_with_how_to_read_it_so() -> None:
    text = of(*exposed("button", "1", "0"))
    assert [variant.key for variant in declared(text)["button"].variants] == ["control", "1"]
    assert "'0' is probably control (by its name)" in text
    assert 'variant `map: {"0": control}`, then' in text
    assert "`--map variant:0=control`" in text
    assert "a weak sign" in of(*exposed("button", "blue", "green"))


def test_manifest__texts_of_others__stay_what_they_are() -> None:
    feature = AWKWARD.replace("\x1b", "")
    text = of(*exposed(feature, feature, "control"))
    (entry,) = declared(text).values()
    assert (entry.feature, entry.variants[1].key) == (feature, feature)
    assert "\x1b" not in of(*exposed(AWKWARD, "control"))


def test_manifest__what_no_experiment_can_have__is_a_comment_that_says_why() -> None:
    text = of(*exposed("x" * 2_001, "a"), *exposed("flag", "a\nexperiments: {}"))
    assert parse_manifest(text + "experiments: {}").experiments == {}
    assert "feature: Must not be longer than 2000 bytes" in text
    assert r"variant 'a\nexperiments: {}': Must not hold control characters" in text


def test_manifest__keys__are_made_of_the_flags_and_new() -> None:
    seen = [each for flag in ("button", "7 days", "7-days", "..", "x" * 90) for each in exposed(flag, "a", "b")]
    keys = list(declared(of(*seen, taken=("button", "flag"))))
    assert keys == ["flag_2", "flag_7_days", "flag_7-days", "button_2", "x" * 80]


def test_manifest__variants_of_a_flag_that_has_an_experiment__are_comments_alone() -> None:
    flag = UncoveredFlag("button", tuple(exposed("button", "huge")), ("first", "second"), None)
    text = discovered_manifest([flag], "prod", [])
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert "has experiments: first, second. They do not cover:\n#   'huge': 1,200 identities" in text
