"""Sign-in to the results page: an API key in a cookie, and the token that forms carry (docs/adr/0056).

The cookie holds the key itself, so that nothing is stored on the server, any worker can answer, and a revoked key opens
nothing from the next request on. A form's token follows from the key, which no other page can read.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe
from urllib.parse import parse_qsl, quote

from fastapi import HTTPException, Request
from fastapi.responses import Response

from experiment_pipeline.api.auth import Access, access_of
from experiment_pipeline.api.dependencies import state_of
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.errors import KeyExpired

KEY_COOKIE = "experiment_pipeline_key"
FORM_COOKIE = "experiment_pipeline_form"  # before anybody is signed in, the sign-in form's token follows from this one
STAYS_SIGNED_IN = timedelta(hours=12)
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100
REVOKED = "The key that you were signed in with opens nothing any more: it was revoked. Ask for a new one."
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field


class NotSignedIn(Exception):
    """The request has no key, or one that opens nothing; `reason` says why, and is empty without a key."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in.

    Attributes:
        environment_key: of the key.
        actor: the name that the key goes by in the audit log.
        scope: of the key.
        form_token: that the forms of this visitor carry.
    """

    environment_key: str
    actor: str
    scope: Scope
    form_token: str

    @property
    def access(self) -> Access:
        """The access that the key gives in its environment."""
        return Access(self.environment_key, self.actor)

    @property
    def home(self) -> str:
        """The path below which the pages of the environment are."""
        return f"/environments/{quote(self.environment_key, safe='')}"

    @property
    def can_refresh(self) -> bool:
        """Whether the visitor may ask for a refresh."""
        return self.scope.allows(Scope.REFRESH)

    @property
    def can_administer(self) -> bool:
        """Whether the visitor may start, pause and complete."""
        return self.scope.allows(Scope.ADMIN)


def visitor_of(request: Request, scope: Scope) -> Visitor:
    """Return the visitor whose key a request's cookie holds; reads the registry, so it belongs in a thread.

    Raises:
        NotSignedIn: there is no key, or it is unknown, revoked or expired.
        HTTPException: 403 where the key's scope does not include the one that is needed.
        NotFound: the key is of another environment than the path names.
    """
    state, token = state_of(request), request.cookies.get(KEY_COOKIE, "")
    try:
        key = state.registry.keys.authenticate(token, state.now()) if token else None
    except KeyExpired as expired:
        raise NotSignedIn(str(expired)) from None
    if key is None:
        raise NotSignedIn(REVOKED if token else "")
    visitor = Visitor(key.environment_key, f"key:{key.prefix}", key.scope, form_token_of(token))
    request.state.visitor = visitor  # a refusal's page shows who is signed in, too
    access_of(request, key, scope)
    return visitor


def form_token_of(secret: str) -> str:
    """Return the token of the forms of a page, from a cookie that only this server and the browser know."""
    return hmac.new(secret.encode(), b"experiment-pipeline form", sha256).hexdigest()


def form_secret(request: Request) -> str:
    """Return the secret in the cookie of somebody who is not signed in; a new one where there is none."""
    present = request.cookies.get(FORM_COOKIE, "")
    return present if SECRET.fullmatch(present) else token_urlsafe(32)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of a repeated one the last.

    Raises:
        HTTPException: 415 for another type of body, 400 for one that no form of ours would send.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, f"The content type must be {FORM}.")
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as too_many:
        raise HTTPException(400, f"A form has at most {MOST_FIELDS} fields.") from too_many


def require_own_form(request: Request, form: dict[str, str], secret: str) -> None:
    """Refuse a form that another site has sent in the visitor's name (CSRF).

    Raises:
        HTTPException: 403 where the form's token does not follow from the secret, or a browser names another origin.
    """
    given = form.get(FORM_TOKEN, "")
    is_own = hmac.compare_digest(given.encode(), form_token_of(secret).encode())
    from_elsewhere = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    if not secret or not is_own or from_elsewhere:
        raise HTTPException(403, "This form was not sent from this page, or is outdated. Open the page anew and retry.")


def keep(request: Request, response: Response, cookie: str, value: str, lasts: timedelta | None = None) -> None:
    """Set a cookie that no script reads and no other site sends; it goes over https alone where that is used."""
    response.set_cookie(
        cookie,
        value,
        max_age=None if lasts is None else int(lasts.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def forget(request: Request, response: Response, cookie: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(cookie, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict")
