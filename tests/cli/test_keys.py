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
