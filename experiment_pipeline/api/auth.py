"""Authorization: an API key opens one environment, up to its scope.

No or unknown key: 401. Another environment, existing or not: the same 404. A scope that is too small: 403. All three
are answered before the body is read, so that nobody without a key learns what is wrong with it.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, HTTPException, Path, Request, Security
from fastapi.responses import Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from typing_extensions import override

from experiment_pipeline.api.dependencies import state_of
from experiment_pipeline.api.media_types import require_json
from experiment_pipeline.domain.api_keys import ApiKey, Scope
from experiment_pipeline.errors import NotFound

ENVIRONMENT = "/api/v1/environments/{environment_key}"  # the path below which a key is needed
SCHEME = "Api-Key "
EnvironmentKey = Annotated[str, Path(description="the environment's key")]
Authorization = Annotated[
    str | None,
    Security(
        APIKeyHeader(name="Authorization", scheme_name="ApiKey", description="`Api-Key <token>`", auto_error=False)
    ),
]


@dataclass(frozen=True, slots=True)
class Access:
    """An environment that the caller may work in, and the name it goes by in the audit log (rule L5)."""

    environment_key: str
    actor: str
    is_repeatable: bool = False  # the same request may be answered with the same again: it leaves no trace


@dataclass(frozen=True, slots=True)
class PendingAccess:
    """A caller whose key is not checked yet: the endpoint calls `check` first, in the thread in which it then reads.

    Key and payload take one hop to a thread in this way, and two in every other. Only for an endpoint with no other
    input than names in its path: whatever else could be wrong would be answered before the key is checked.
    """

    request: Request
    scope: Scope

    def check(self) -> Access:
        """Return the access that the key gives. Raises HTTPException or NotFound."""
        return authorize(self.request, self.scope)


def authorize(request: Request, scope: Scope) -> Access:
    """Return the access that a request's key gives; reads the registry, so it belongs in a thread.

    Raises:
        KeyExpired: the key's time is over.
        HTTPException: 401 without a valid key, 403 where the key's scope does not include the one that is needed.
        NotFound: the key is of another environment than the path names.
    """
    state = state_of(request)
    header = request.headers.get("Authorization", "")
    token = header.removeprefix(SCHEME) if header.startswith(SCHEME) else ""
    key = state.registry.keys.authenticate(token, state.now()) if token else None
    if key is None:
        raise HTTPException(
            401, "Send a valid API key: 'Authorization: Api-Key <token>'.", {"WWW-Authenticate": "Api-Key"}
        )
    return access_of(request, key, scope)


def access_of(request: Request, key: ApiKey, scope: Scope) -> Access:
    """Return the access that a valid key gives to what a request's path names.

    The request counts for the key's rate limit, and is told in the audit log where the settings ask for that.

    Raises:
        RateLimited: the key asks too often.
        HTTPException: 403 where the key's scope does not include the one that is needed.
        NotFound: the key is of another environment than the path names.
        RegistryUnavailable: a read has to be told, and the registry takes no changes.
    """
    state = state_of(request)
    state.limits.ask_with(key)
    environment_key = request.path_params.get("environment_key", key.environment_key)
    if key.environment_key != environment_key:
        raise NotFound(f"No environment '{environment_key}'.")
    if not key.scope.allows(scope):
        raise HTTPException(403, f"This needs the scope '{scope}'; the key's is '{key.scope}'.")
    request.state.key = key.prefix  # for the log
    request.state.api_key = key
    actor, is_told = f"key:{key.prefix}", state.settings.audit_admin_reads and key.scope is Scope.ADMIN
    if is_told and _is_told_read(request):
        state.registry.audit.record_read(environment_key, request.url.path, actor=actor, now=state.now())
    return Access(environment_key=key.environment_key, actor=actor, is_repeatable=not is_told)


def _is_told_read(request: Request) -> bool:
    """Whether a request reads anything: an open page asks every few seconds whether there is something newer."""
    return request.method == "GET" and not request.url.path.endswith("/state/")


async def _inputs(environment_key: EnvironmentKey, authorization: Authorization) -> None:
    """Tell FastAPI, and with it the OpenAPI document, what `authorize` reads from the request."""


async def _header(authorization: Authorization) -> None:
    """Tell FastAPI the same of a path without an environment: it is the key's."""


@dataclass(frozen=True)
class Requires:
    """Dependency of an endpoint that requires a scope: the access that `KeyCheckedRoute` has found by then."""

    scope: Scope

    async def __call__(self, request: Request, _: Annotated[None, Depends(_inputs)]) -> Access:
        """Return the access of this request."""
        access = request.state.access
        assert isinstance(access, Access)  # noqa: S101 - a fact for the type checker
        return access


@dataclass(frozen=True)
class RequiresInItsOwn(Requires):
    """The same of an endpoint whose path names no environment: it is the key's."""

    @override
    async def __call__(self, request: Request, _: Annotated[None, Depends(_header)]) -> Access:
        """Return the access of this request."""
        return await super().__call__(request, None)


@dataclass(frozen=True)
class ChecksItself:
    """Dependency of an endpoint that checks the key in its own thread."""

    scope: Scope

    async def __call__(self, request: Request, _: Annotated[None, Depends(_inputs)]) -> PendingAccess:
        """Return the access of this request, not checked yet."""
        return PendingAccess(request, self.scope)


class KeyCheckedRoute(APIRoute):
    """A route below an environment: it checks the caller's key before FastAPI reads the body and the parameters.

    A dependency would come too late: FastAPI parses a body as JSON before it calls any.
    """

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        calls = [each.call for each in self.dependant.dependencies]
        if any(isinstance(call, ChecksItself) for call in calls):
            return handle
        (scope,) = (call.scope for call in calls if isinstance(call, Requires))  # a route that names none is a mistake
        takes_body = self.body_field is not None

        async def check_key_first(request: Request) -> Response:
            request.state.access = await to_thread.run_sync(authorize, request, scope)
            if takes_body:
                require_json(request)
            return await handle(request)

        return check_key_first


CanRead = Annotated[Access, Depends(Requires(Scope.READ))]
CanReadItsOwn = Annotated[Access, Depends(RequiresInItsOwn(Scope.READ))]
CanRefresh = Annotated[Access, Depends(Requires(Scope.REFRESH))]
CanAdminister = Annotated[Access, Depends(Requires(Scope.ADMIN))]
ReadsInOneHop = Annotated[PendingAccess, Depends(ChecksItself(Scope.READ))]
