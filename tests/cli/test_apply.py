"""`experiment-pipeline apply`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiment_pipeline.cli.main import main
from experiment_pipeline.settings import PREFIX
from tests.cli.conftest import MANIFEST, Run


def test_apply__twice__shows_what_it_makes_and_then_nothing(run: Run, manifest: Path) -> None:
    first = run("apply", manifest)
    assert first.exit_code == 0
    assert "+ experiment production/checkout" in first.stdout
    assert "3 created, 0 changed." in first.stdout
    assert run("apply", manifest).stdout == "Everything is as declared.\n"


def test_apply__refused_by_a_rule_of_the_registry__leaves_no_registry(run: Run, manifest: Path, tmp_path: Path) -> None:
    manifest.write_text(MANIFEST.replace("{metric: purchase,", "{metric: purchas,"), "utf-8")
    assert run("apply", manifest).exit_code == 2
    assert not (tmp_path / "data" / "registry.sqlite").exists()


def test_apply__change_of_who_is_analysed__shows_what_changed_alone(run: Run, manifest: Path) -> None:
    created = MANIFEST.replace("    status: running\n", "    dimensions: [{name: country, trait: country}]\n")
    manifest.write_text(created + "    only: [{field: traits.country, is: DE}]\n", "utf-8")
    assert run("apply", manifest).exit_code == 0
    manifest.write_text(created + "    only: [{field: traits.country, is: AT}]\n", "utf-8")
    text = run("apply", manifest, "--dry-run").stdout
    assert "\n    only: \n" in text
    assert '- {"field": "traits.country", "is": "DE"}' in text
    assert '+ {"field": "traits.country", "is": "AT"}' in text
    assert "dimensions" not in text


def test_apply__dry_run__changes_nothing(run: Run, manifest: Path) -> None:
    for _ in range(2):
        shown = run("apply", manifest, "--dry-run")
        assert "3 created, 0 changed. Nothing was changed: this was a dry run." in shown.stdout


def test_apply__json__is_for_programs(declared: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("name: Checkout", "name: '[red]'"), "utf-8")
    assert json.loads(declared("apply", manifest, "--json").stdout) == [
        {
            "action": "change",
            "subject": "experiment production/checkout",
            "fields": {"name": {"before": "Checkout", "after": "[red]"}},
            "notes": [],
        }
    ]


def test_apply__broken_rule__is_one_line_and_exit_code_2(declared: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("percentage_allocation: 50", "percentage_allocation: 101"), "utf-8")
    refused = declared("apply", manifest)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        "Error: experiments.checkout.variants.0.percentage_allocation (line 10): Must be a number from 0 to 100.\n"
    )


def test_apply__several_mistakes__are_all_named_with_their_lines(run: Run, manifest: Path) -> None:
    text = MANIFEST.replace("status: running", "status: runing").replace("key: larger", "ky: larger")
    manifest.write_text(text, "utf-8")
    assert run("apply", manifest).stderr == (
        "Error: experiments.checkout.variants.0.ky (line 10): Unknown field. Did you mean 'key'?; "
        "experiments.checkout.status (line 12): Must be 'created', 'running', 'paused' or 'completed', got 'runing'. "
        "Did you mean 'running'?\n"
    )


def test_apply__error_of_the_registry__names_the_line_too(run: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("metric: purchase", "metric: purchse"), "utf-8")
    refused = run("apply", manifest, "--dry-run")
    assert refused.stderr == (
        "Error: experiments.checkout.metrics.0.metric (line 11): No metric 'purchse' in environment 'production'. "
        "Did you mean 'purchase'?\n"
    )


def test_apply__dash__reads_standard_input(run: Run, tmp_path: Path) -> None:
    shown = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "data"), "apply", "-"], input=MANIFEST)
    assert "3 created, 0 changed." in shown.stdout
    assert run("experiments", "show", "checkout").exit_code == 0


def test_apply__only__leaves_everything_else(run: Run, manifest: Path) -> None:
    run("apply", manifest)
    text = MANIFEST.replace("name: Checkout", "name: Till").replace("aggregation: occurrence", "aggregation: nonsense")
    manifest.write_text(text, "utf-8")
    shown = run("apply", manifest, "--only", "experiments.checkout")
    assert shown.stdout == '~ experiment production/checkout\n    name: "Checkout" -> "Till"\n0 created, 1 changed.\n'
    refused = run("apply", manifest, "--only", "experiments.chekout")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: --only: The file has no 'experiments.chekout'. Did you mean 'experiments.checkout'?\n",
    )


def test_apply__changed_lists__show_what_came_in_and_what_was_taken_out(declared: Run, manifest: Path) -> None:
    text = manifest.read_text("utf-8")
    assert "variants:" in text
    manifest.write_text(f"{text}\n    ignored_variants: [tester]\n", "utf-8")
    shown = declared("apply", manifest, "--dry-run").stdout
    assert '    ignored_variants: \n      + "tester"\n' in shown


def test_apply__margin_of_a_guardrail__is_declared_shown_and_changed_in_sight__m16(run: Run, manifest: Path) -> None:
    text = manifest.read_text("utf-8").replace("status: running", "status: created")
    guarded = text.replace("expected_direction: increase", "expected_direction: not_decrease, margin: 0.02")
    manifest.write_text(guarded, "utf-8")
    assert run("apply", manifest).exit_code == 0
    assert "purchase: not_decrease, margin 2 %" in run("experiments", "show", "checkout").stdout
    manifest.write_text(guarded.replace("0.02", "0.05"), "utf-8")
    shown = run("apply", manifest, "--dry-run").stdout
    assert "      - purchase (not_decrease, margin 2 %)\n      + purchase (not_decrease, margin 5 %)\n" in shown
    manifest.write_text(text.replace("increase}", "increase, margin: 0.02}"), "utf-8")
    refused = run("apply", manifest)
    assert (refused.exit_code, "Only a guardrail has a margin" in refused.stderr) == (2, True)


def test_apply__after_a_pause__keeps_it_with_a_line_and_resumes_on_request(declared: Run, manifest: Path) -> None:
    declared("experiments", "pause", "checkout")
    kept = declared("apply", manifest)
    assert (kept.exit_code, kept.stdout) == (
        0,
        "= experiment production/checkout\n    stays paused, although the file says running. --resume resumes it.\n"
        "0 created, 0 changed, 1 kept.\n",
    )
    strict = declared("apply", manifest, "--strict")
    assert strict.exit_code == 2
    assert strict.stderr.startswith("Error: experiments.checkout.status (line 12): It is paused already")
    assert '"paused" -> "running"' in declared("apply", manifest, "--resume").stdout


def test_apply__warnings__are_lines_below_what_they_are_about(run: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("increase", "decrease"), "utf-8")
    shown = run("apply", manifest).stdout
    assert "\n    warning: metrics.0.expected_direction: decrease is against the metric 'purchase'" in shown
    assert "warning" in run("experiments", "show", "checkout").stdout


def test_apply__file_that_is_no_text__is_refused(run: Run, manifest: Path) -> None:
    manifest.write_bytes(b"\xff\xfe")
    assert run("apply", manifest).exit_code == 2


def test_apply__unreadable_yaml__is_one_line_exit_code_2_and_nothing_changed(declared: Run, manifest: Path) -> None:
    before = declared("experiments", "list", "--json").stdout
    manifest.write_text(MANIFEST.replace("Checkout", "Another name") + "  - {broken: [", "utf-8")
    refused = declared("apply", manifest)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: line ")
    assert refused.stderr.count("\n") == 1
    assert declared("experiments", "list", "--json").stdout == before


def test_apply__design_that_hardly_reaches_the_floors__is_warned_of_by_those_of_the_installation(
    run: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest.write_text(MANIFEST + "    design: {n_looks: 5, mde: 0.9, baseline: 0.05}\n", "utf-8")
    shown = run("apply", manifest, "--dry-run").stdout
    assert "warning" not in shown, "looks that are planned, and are"
    assert "as few as" not in shown, "29 conversions, of which a verdict needs 5"
    monkeypatch.setenv(f"{PREFIX}MINIMUM_CONVERSIONS", "30")
    assert "as few as 29 to an arm" in run("apply", manifest).stdout
    assert "as few as 29 to an arm" in run("experiments", "show", "checkout", "--json").stdout


def test_apply__effect_without_a_baseline__is_refused_by_its_field(run: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST + "    design: {mde: 0.1}\n", "utf-8")
    refused = run("apply", manifest)
    assert refused.exit_code == 2
    assert "experiments.checkout.design.baseline" in refused.stderr
    assert "Needed with mde, which is relative to it." in refused.stderr


def test_apply__prior__is_declared_once_shown_and_its_mistakes_are_named(run: Run, manifest: Path) -> None:
    prior = "    prior: {mean: 0.02, standard_deviation: 0.05}\n"
    manifest.write_text(MANIFEST + prior, "utf-8")
    assert run("apply", manifest).exit_code == 0
    assert run("apply", manifest).stdout == "Everything is as declared.\n"
    assert "lift +2 %, standard deviation 5 %" in run("experiments", "show", "checkout").stdout
    manifest.write_text(MANIFEST + prior.replace("mean", "men").replace("0.05", "7"), "utf-8")
    refused = run("apply", manifest).stderr
    assert "experiments.checkout.prior.men (line 13): Unknown field. Did you mean 'mean'?" in refused
    assert "experiments.checkout.prior.standard_deviation (line 13): Must be a share above 0 and below 5" in refused


def test_apply__audience__is_declared_once_shown_and_its_mistakes_are_named(run: Run, manifest: Path) -> None:
    audience = (
        "    dimensions: [{name: country, trait: country}]\n    only: [{field: traits.country, in: [DE, AT]}]\n"
        "    entry: {event: opened}\n    exclude_identifiers: [staff]\n    post_stratify: country\n"
    )
    manifest.write_text(MANIFEST + audience, "utf-8")
    assert run("apply", manifest).exit_code == 0
    assert run("apply", manifest).stdout == "Everything is as declared.\n"
    card = run("experiments", "show", "checkout").stdout
    assert '[{"field": "traits.country", "in": ["DE", "AT"]}]' in card
    assert "1 identifiers" in card
    manifest.write_text(MANIFEST + audience.replace("trait: country", "trai: country").replace("in:", "inn:"), "utf-8")
    refused = run("apply", manifest).stderr
    assert "experiments.checkout.dimensions.0.trai (line 13): Unknown field. Did you mean 'trait'?" in refused
    assert "experiments.checkout.only.0.inn (line 14): Unknown field. Did you mean 'in'?" in refused
