"""`experiment-pipeline replay`: published results computed again."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from experiment_pipeline.cli.main import main
from experiment_pipeline.lake.dropping import drop_removed
from experiment_pipeline.lake.lake import Lake
from tests.assets.conftest import Installation, copied, crowd, declared, installation, purchase
from tests.lake.source_objects import land_range
from tests.replay.conftest import change_look

__all__ = ["installation"]


@pytest.fixture(scope="module")
def two_looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every test's installation is copied from."""
    folder = tmp_path_factory.mktemp("two-looks")
    with declared(folder) as made:
        for name, records in (("first", crowd(30, 20)), ("late", [purchase("b-19", 10)])):
            made.land(name, records)
            made.ingest()
            made.refresh()
    return folder


@pytest.fixture
def looked(tmp_path: Path, two_looks: Path) -> Iterator[Installation]:
    """Two looks."""
    with copied(two_looks, tmp_path) as copy:
        yield copy


def run(installation: Installation, *arguments: str) -> Result:
    data_dir = ["--data-dir", str(installation.settings.data_dir)]
    return CliRunner().invoke(main, [*data_dir, "replay", "checkout", *arguments])


def test_replay__of_every_look__says_that_each_is_equal(looked: Installation) -> None:
    shown = run(looked)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert [line.partition(" as of")[0] for line in lines] == ["look 1", "look 2"]
    assert [line.rpartition(", ")[2] for line in lines] == [f"data version {n}: equal to the last bit" for n in (1, 2)]


def test_replay__of_a_look_that_differs__shows_where_and_ends_with_1(looked: Installation) -> None:
    look = looked.registry.looks.get(looked.experiment().id, 2)
    payload = json.loads(json.dumps(look.payload))
    payload["metrics"][0]["variants"]["b"]["n"] = 7
    change_look(looked, 2, payload)
    shown = run(looked)
    assert shown.exit_code == 1
    assert "  metrics[0].variants.b.n: published 7, replayed 20" in shown.stdout
    assert shown.stderr == "Error: Look 2 of 'checkout': not what was published.\n"
    (found,) = json.loads(run(looked, "--look", "2", "--json").stdout)
    assert found["differences"] == [{"path": "metrics[0].variants.b.n", "published": 7, "replayed": 20}]
    assert run(looked, "--look", "1").exit_code == 0


@pytest.mark.slow
def test_replay__of_looks_whose_rows_were_dropped__says_so_and_replays_the_others(looked: Installation) -> None:
    landing, lake = looked.settings.landing_dir, Lake(looked.settings.lake_dir)
    for number, value in enumerate("34", start=3):
        folder = f"{'again-' if number > 3 else ''}v1-{number:06}"
        land_range(landing, folder, [purchase("b-0", value), purchase(f"b-{number}", "9", hours=number)])
        looked.ingest()
        looked.refresh()
    assert run(looked).exit_code == 0
    looked.refresh()
    drop_removed(lake, 4)
    shown = run(looked)
    assert shown.exit_code == 0, shown.output
    told = [line.partition(", ")[0].partition(" as of")[0] for line in shown.stdout.splitlines()]
    assert [line.partition(": ")[0] for line in told] == [
        *(f"look {number} cannot be replayed" for number in (1, 2, 3, 4)),  # the fourth is compared with the third
        "look 5",
    ]
    assert "look 5 as of" in shown.stdout
    assert "equal to the last bit" in shown.stdout
    found = json.loads(run(looked, "--json").stdout)
    assert ["dropped" in each for each in found] == [True] * 4 + [False]
    alone = run(looked, "--look", "1")
    assert alone.exit_code == 1
    assert "Data version 1 cannot be read any more" in alone.stderr


def test_replay__as_of_a_moment__takes_the_batches_of_that_moment(looked: Installation) -> None:
    first = looked.registry.looks.get(looked.experiment().id, 1)
    shown = run(looked, "--as-of", first.as_of.isoformat())
    assert shown.exit_code == 0, shown.output
    assert "data version 1." in shown.stderr
    assert "50 identities exposed" in shown.stdout
    found = json.loads(run(looked, "--as-of", first.as_of.isoformat(), "--json").stdout)
    assert found["results"]["metrics"] == first.payload["metrics"]


@pytest.mark.slow
def test_replay__every_step__is_a_table_of_looks(looked: Installation) -> None:
    shown = run(looked, "--every", "P30D")
    assert shown.exit_code == 0, shown.output
    steps = json.loads(run(looked, "--every", "P30D", "--json").stdout)
    assert len(shown.stdout.splitlines()) == len(steps) + 1
    assert shown.stdout.splitlines()[1].split()[:2] == ["2026-03-31T00:00:00Z", "50"]
    assert "by when they happened" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--look", "1", "--every", "P1D"), "--look: Give one of --look, --as-of and --every"),
        (("--as-of", "2026-03-01T00:00:00"), "must be a time with a zone, such as 2026-03-01T12:00:00Z."),
        (("--as-of", "9026-03-01T00:00:00Z"), "--as-of: Must not lie in the future"),
        (("--as-of", "2026-02-01T00:00:00Z"), "'checkout' had not started at 2026-02-01T00:00:00Z."),
        (("--every", "1d"), "ISO-8601 duration"),
        (("--every", "PT1S"), "--every: Must be longer"),
        (("--look", "3"), "No look 3: there are 1 to 2."),
    ],
)
def test_replay__of_what_cannot_be__is_refused(looked: Installation, arguments: tuple[str, ...], message: str) -> None:
    refused = run(looked, *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_replay__before_the_first_look__says_so(installation: Installation) -> None:
    shown = run(installation)
    assert (shown.exit_code, shown.stdout) == (0, "No results were published yet: there is nothing to replay.\n")
    assert run(installation, "--json").stdout == "[]\n"
