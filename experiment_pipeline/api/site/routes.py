"""Routes of the results page: who may see it, what its forms prove, and every refusal as a page."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import Depends, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from typing_extensions import override

from experiment_pipeline.api.dependencies import State, state_of
from experiment_pipeline.api.problems import UNAVAILABLE_SECONDS, fields_of, kind_of, outage_detail
from experiment_pipeline.api.site.sessions import (
    FORM_COOKIE,
    KEY_COOKIE,
    NotSignedIn,
    Visitor,
    forget,
    form_secret,
    form_token_of,
    keep,
    read_form,
    require_own_form,
    visitor_of,
)
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.domain.experiments import Experiment
from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ExperimentPipelineError, RateLimited, RegistryUnavailable, Throttled
from experiment_pipeline.pages.html import render

SITE = "/environments/{environment_key}"  # below it, pages show one environment
SIGN_IN = "/sign-in"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",  # nothing is left to see after signing out
}
SIGN_IN_FIRST = "Sign in first: nothing was changed."


@dataclass(frozen=True, slots=True)
class Visit:
    """A request for a page: who asks, and what the answer is made from."""

    request: Request
    shared: State
    visitor: Visitor

    def find(self, experiment: str) -> Experiment:
        """Return the experiment of the visitor's environment that a path names. Raises NotFound."""
        return self.shared.registry.experiments.find(self.visitor.environment_key, experiment)


@dataclass(frozen=True)
class Visits:
    """Dependency of a page that requires a scope; `PageRoute` has found the visitor by then."""

    scope: Scope

    async def __call__(self, request: Request) -> Visit:
        """Return the visit of this request."""
        visitor = request.state.visitor
        assert isinstance(visitor, Visitor)  # noqa: S101 - a fact for the type checker
        return Visit(request, state_of(request), visitor)


class PageRoute(APIRoute):
    """A route that answers with pages, also where it refuses.

    It checks the key before anything else, and of a POST the form's token before the endpoint is called.
    """

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        scopes = [each.call.scope for each in self.dependant.dependencies if isinstance(each.call, Visits)]

        async def answer(request: Request) -> Response:
            try:
                await _admit(request, scopes)
                response = await handle(request)
            except NotSignedIn as refused:
                response = _asks_to_sign_in(request, refused)
            except (ExperimentPipelineError, HTTPException, RequestValidationError) as error:
                response = _refusal(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return answer


async def _admit(request: Request, scopes: list[Scope]) -> None:
    """Check the key of a page that needs one, and that a form was sent from a page of ours."""
    for scope in scopes:
        await to_thread.run_sync(visitor_of, request, scope)
    if request.method == "POST":
        request.state.form = await read_form(request)
        cookie = KEY_COOKIE if scopes else FORM_COOKIE
        require_own_form(request, request.state.form, request.cookies.get(cookie, ""))


def form_of(request: Request) -> dict[str, str]:
    """Return the fields of the form that a POST has sent."""
    form: dict[str, str] = request.state.form
    return form


def page(request: Request, template: str, status: int = 200, /, **context: object) -> HTMLResponse:
    """Return a page with its status; the templates know who is signed in."""
    visitor = getattr(request.state, "visitor", None)
    return HTMLResponse(render(template, visitor=visitor, **context), status)


def sign_in_page(request: Request, status: int, message: str, back: str) -> Response:
    """Return the form to sign in, with a cookie from which the form's token follows.

    Args:
        request: that is answered.
        status: of the answer.
        message: why it is shown; empty where there is nothing to say.
        back: the path to go on to.
    """
    secret = form_secret(request)
    request.state.visitor = None
    response = page(request, "sign_in.html", status, message=message, back=back, form_token=form_token_of(secret))
    keep(request, response, FORM_COOKIE, secret)
    return response


def address(path: str, **query: str | int | None) -> str:
    """Return a path with a query of the parameters that are given."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _asks_to_sign_in(request: Request, refused: NotSignedIn) -> Response:
    """Return where to sign in; who had a key, or wanted to change something, is told what became of it."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET" and not refused.reason:
        return RedirectResponse(address(SIGN_IN, back=wanted), 303)
    back = wanted if request.method == "GET" else "/"
    response = sign_in_page(request, 401, refused.reason or SIGN_IN_FIRST, back)
    forget(request, response, KEY_COOKIE)
    return response


def _refusal(request: Request, error: Exception) -> Response:
    """Return the page of an error that has an answer."""
    headers = {}
    if isinstance(error, RequestValidationError):
        status, title = 400, "Invalid request"
        detail = "; ".join(f"{field}: {' '.join(messages)}" for field, messages in fields_of(error).items())
    elif isinstance(error, HTTPException):
        status, title, detail = error.status_code, HTTPStatus(error.status_code).phrase.capitalize(), error.detail
        headers = dict(error.headers or {})
    else:
        (status, title), detail = kind_of(error), str(error)
        if isinstance(error, RegistryUnavailable):
            detail = outage_detail(error)
            headers["Retry-After"] = str(error.retry_after)
        elif isinstance(error, Throttled | RateLimited):
            headers["Retry-After"] = str(error.seconds_left)
        elif status == 503:
            headers["Retry-After"] = UNAVAILABLE_SECONDS
    response = page(request, "error.html", status, title=title, detail=printable(detail))
    response.headers.update(headers)
    return response


CanView = Annotated[Visit, Depends(Visits(Scope.READ))]
CanAsk = Annotated[Visit, Depends(Visits(Scope.REFRESH))]
CanManage = Annotated[Visit, Depends(Visits(Scope.ADMIN))]
