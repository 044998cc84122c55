"""API keys on the command line."""

import json

from tests.cli.conftest import Run


def test_keys__created_listed_revoked__show_their_token_once(declared: Run) -> None:
    created = declared("keys", "create", "--scope", "read", "--name", "dashboard")
    token = created.stdout.strip()
    prefix = token.split("_")[1]
    (key,) = json.loads(declared("keys", "list", "--json").stdout)
    assert (key["prefix"], key["scope"], key["name"]) == (prefix, "read", "dashboard")
    assert token not in declared("keys", "list").stdout
    assert declared("keys", "revoke", prefix).stdout == f"Revoked key {prefix}.\n"
    assert json.loads(declared("keys", "list", "--json").stdout)[0]["revoked_at"]
    assert declared("keys", "revoke", "unknown").exit_code == 2


def test_keys__rotated__says_until_when_the_old_one_opens(declared: Run) -> None:
    token = declared("keys", "create", "--scope", "read", "--valid-for", "P90D").stdout.strip()
    prefix = token.split("_")[1]
    rotated = declared("keys", "rotate", prefix, "--overlap", "P1D")
    assert rotated.exit_code == 0, rotated.output
    assert rotated.stdout.startswith("xp_")
    assert f"Key {prefix} opens the same until 20" in rotated.stderr
    old, new = json.loads(declared("keys", "list", "--json").stdout)
    assert old["expires_at"] < new["expires_at"]
    assert declared("keys", "rotate", prefix, "--overlap", "a week").exit_code == 2
    refused = declared("keys", "create", "--scope", "read", "--valid-for", "PT0S")
    assert (refused.exit_code, refused.stderr) == (
        2,
        "Error: valid_for: Must be longer than 0 and at most 36,500 days.\n",
    )
