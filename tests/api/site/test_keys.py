"""Keys that open nothing, on every page and every action that the application has below an environment."""

from datetime import timedelta

import pytest
from fastapi.routing import APIRoute

from experiment_pipeline.api.site import actions, experiment, listing, power
from experiment_pipeline.api.site.sessions import form_token_of
from experiment_pipeline.domain.api_keys import Scope
from tests.api.conftest import ACTOR, NOW, Api
from tests.api.site.browsing import Browser
from tests.api.site.installation import declare

SECRET = "A name that nobody else may read"


def addresses() -> list[tuple[str, str]]:
    """Method and address of every page and action below an environment."""
    return [
        (method, route.path.format(environment_key="production", experiment="checkout"))
        for module in (actions, experiment, listing, power)
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


@pytest.mark.parametrize(("kind", "refused"), [("revoked", 401), ("expired", 401), ("other", 404)])
def test_every_page_and_action__with_a_key_that_opens_nothing__shows_and_changes_nothing(
    api: Api, kind: str, refused: int
) -> None:
    asked = addresses()
    assert len(asked) == 8
    made = declare(api.registry, "checkout", NOW, name=SECRET)
    before = api.registry.experiments.get(made.id)
    for number, (method, address) in enumerate(asked):
        environment = "staging" if kind == "other" else "production"
        key, token = api.registry.keys.create(
            environment, Scope.ADMIN, f"{number}", actor=ACTOR, now=api.clock.now, valid_for=timedelta(hours=1)
        )
        api.client.cookies.clear()
        browser = Browser(api)
        assert browser.sign_in(token).status_code == 303
        if kind == "revoked":
            api.registry.keys.revoke(key.prefix, actor=ACTOR, now=api.clock.now)
        elif kind == "expired":
            api.clock.pass_by(timedelta(hours=2))
        form = {"data": {"form_token": form_token_of(token)}} if method == "POST" else {}
        answer = api.client.request(method, address, follow_redirects=False, **form)
        assert answer.status_code == refused, (method, address)
        assert SECRET not in answer.text
        assert token not in answer.text
    assert api.registry.experiments.get(made.id) == before
    assert api.registry.claims.list_waiting(made.id) == []
