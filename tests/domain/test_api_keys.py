"""Scopes of API keys."""

from experiment_pipeline.domain.api_keys import Scope


def test_scopes__each__allows_itself_and_those_before() -> None:
    allowed = {scope: [str(each) for each in Scope if scope.allows(each)] for scope in Scope}
    assert allowed == {"read": ["read"], "refresh": ["read", "refresh"], "admin": ["read", "refresh", "admin"]}
