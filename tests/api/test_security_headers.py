"""Security headers: of every kind of answer, and of the page that documents the API."""

import re
from base64 import b64encode
from hashlib import sha256

import pytest

from experiment_pipeline.api.security_headers import EVERYWHERE, policy_of
from tests.api.conftest import Api

NO_PAGE = [
    ("GET", "/api/v1/environments/production/experiments/", 200),
    ("GET", "/api/v1/environments/production/experiments/none/", 404),
    ("OPTIONS", "/api/v1/environments/production/experiments/", 204),
    ("DELETE", "/healthz", 405),
    ("GET", "/nothing/", 404),
    ("GET", "/metrics", 200),
    ("POST", "/v1/events", 401),
]


@pytest.mark.parametrize(("method", "path", "status"), NO_PAGE)
def test_answers__that_are_no_pages__load_nothing_and_are_shown_in_no_frame(
    api: Api, method: str, path: str, status: int
) -> None:
    answer = api.ask(method, path, base="")
    assert answer.status_code == status
    assert {name: answer.headers.get_list(name) for name in EVERYWHERE} == {
        name: [value] for name, value in EVERYWHERE.items()
    }
    assert "strict-transport-security" not in answer.headers, "plain HTTP"


def test_answers__over_https__ask_for_https_from_then_on(api: Api) -> None:
    answer = api.client.get("https://testserver/healthz")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_pages__keep_the_policy_of_their_own(api: Api) -> None:
    policy = api.client.get("/sign-in").headers.get_list("content-security-policy")
    assert len(policy) == 1
    assert "style-src 'self'" in policy[0]


def test_documentation__of_the_api__allows_the_scripts_that_it_has(api: Api) -> None:
    answer = api.client.get("/api/v1/docs")
    (policy,) = answer.headers.get_list("content-security-policy")
    (script,) = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert f"script-src 'self' 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}';" in policy


def test_policy_of__a_page_without_inline_scripts__allows_files_alone() -> None:
    assert "script-src 'self';" in policy_of(b'<script src="x.js"></script>')
