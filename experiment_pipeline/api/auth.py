"""Who may do what: an API key opens one environment, up to its scope.

No or unknown key: 401. Another environment, existing or not: the same 404. A scope that is too small: 403.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, HTTPException, Path, Request, Security
from fastapi.security import APIKeyHeader

from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.errors import NotFound
from experiment_pipeline.registry.keys import Scope

SCHEME = "Api-Key "
header = APIKeyHeader(name="Authorization", scheme_name="ApiKey", description="`Api-Key <token>`", auto_error=False)


@dataclass(frozen=True, slots=True)
class Access:
    """An environment that the caller may work in, and the name it goes by in the audit log (rule L5)."""

    environment_key: str
    actor: str


def needs(scope: Scope) -> Callable[..., Access]:
    """The dependency of an endpoint that needs a scope."""

    def access(
        request: Request,
        shared: Shared,
        environment_key: Annotated[str, Path(description="the environment's key")],
        authorization: Annotated[str | None, Security(header)],
    ) -> Access:
        token = (authorization or "").removeprefix(SCHEME) if (authorization or "").startswith(SCHEME) else ""
        key = shared.registry.keys.authenticate(token, shared.now()) if token else None
        if key is None:
            raise HTTPException(
                401, "Send a valid API key: 'Authorization: Api-Key <token>'.", {"WWW-Authenticate": "Api-Key"}
            )
        if key.environment_key != environment_key:
            raise NotFound(f"No environment '{environment_key}'.")
        if not key.scope.allows(scope):
            raise HTTPException(403, f"This needs the scope '{scope}'; the key's is '{key.scope}'.")
        request.state.key = key.prefix  # for the log
        return Access(environment_key=environment_key, actor=f"key:{key.prefix}")

    return access


CanRead = Annotated[Access, Depends(needs(Scope.READ))]
CanRefresh = Annotated[Access, Depends(needs(Scope.REFRESH))]
CanAdminister = Annotated[Access, Depends(needs(Scope.ADMIN))]
