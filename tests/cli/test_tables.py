"""What other people wrote, in a terminal: no markup, no escape sequence, no line of its own making."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MARKUP = "[red]red[/red] [/nothing] :warning: [link=https://evil.example]here[/link]"
TURNED = "\u202egnp.exe"
ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b1m\rback"
HARMFUL = {*map(chr, [*range(9), *range(11, 32), *range(127, 160)]), "\u202e", "\u2066", "\u2028"}


@pytest.fixture
def hostile(run: Run, tmp_path: Path) -> Run:
    """A registry whose names say whatever the registry takes."""
    declared = {
        "environments": {"production": {"name": f"{MARKUP}{TURNED}"}},
        "metrics": {
            f"{MARKUP}{TURNED}": {"aggregation": "sum", "definition": {"version": 1, "event": f"{MARKUP}{TURNED}"}}
        },
        "experiments": {
            "checkout": {
                "name": f"{MARKUP}{TURNED}",
                "hypothesis": f"{MARKUP}{TURNED}{ESCAPES}",
                "feature": f"{MARKUP}{TURNED}",
                "variants": [{"key": f"{MARKUP}{TURNED}", "percentage_allocation": 50}],
                "metrics": [{"metric": f"{MARKUP}{TURNED}", "expected_direction": "increase"}],
                "status": "running",
            }
        },
    }
    manifest = tmp_path / "hostile.yaml"
    manifest.write_text(json.dumps(declared), "utf-8")
    applied = run("apply", manifest)
    assert applied.exit_code == 0, applied.output
    assert not HARMFUL & set(applied.output)
    assert run("keys", "create", "--scope", "read", "--name", f"{MARKUP}{TURNED}").exit_code == 0
    return run


@pytest.mark.parametrize(
    "command",
    [
        "environments list",
        "metrics list",
        "experiments list",
        "experiments show checkout",
        "keys list",
        "results checkout",
    ],
)
def test_listing__of_hostile_names__shows_them_as_they_are(hostile: Run, command: str) -> None:
    shown = hostile(*command.split())
    assert shown.exit_code == 0, shown.output
    assert not HARMFUL & set(shown.stdout)
    text = "".join(shown.stdout.split())
    for part in ("[red]red[/red]", "[/nothing]", ":warning:", "\\u202e"):
        assert part in text, part


def test_error__that_quotes_a_hostile_name__shows_it_as_it_is(hostile: Run) -> None:
    refused = hostile("metrics", "delete", f"{ESCAPES}{TURNED}")
    assert refused.exit_code == 2
    assert not HARMFUL & set(refused.output)
    assert "\\x1b[31mred" in refused.output
