"""Signing in to the results page with an API key, signing out, and the files that pages load."""

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import RedirectResponse, Response

from experiment_pipeline.api.dependencies import Shared
from experiment_pipeline.api.site.routes import SIGN_IN, CanView, PageRoute, form_of, sign_in_page
from experiment_pipeline.api.site.sessions import FORM_COOKIE, KEY_COOKIE, STAYS_SIGNED_IN, forget, keep
from experiment_pipeline.errors import KeyExpired
from experiment_pipeline.pages.html import FOLDER, MEDIA_TYPES, static_files

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FOREVER = "public, max-age=31536000, immutable"  # an address is of one content
UNKNOWN_KEY = "No such key: it is mistyped, or was revoked. Ask an administrator for a new one."


@router.get("/", response_class=Response)
def begin(visit: CanView) -> Response:
    return RedirectResponse(f"{visit.visitor.home}/experiments/", 303)


@router.get(SIGN_IN, response_class=Response)
def show_sign_in(request: Request, back: str = "/") -> Response:
    return sign_in_page(request, 200, "", own_path(back))


@router.post(SIGN_IN, response_class=Response)
async def sign_in(request: Request, shared: Shared) -> Response:
    form = form_of(request)
    token, back = form.get("key", "").strip(), own_path(form.get("back", "/"))
    try:
        key = await to_thread.run_sync(shared.registry.keys.authenticate, token, shared.now())
    except KeyExpired as expired:
        return sign_in_page(request, 401, str(expired), back)
    if key is None:
        return sign_in_page(request, 401, UNKNOWN_KEY, back)
    response = RedirectResponse(back, 303)
    keep(request, response, KEY_COOKIE, token, STAYS_SIGNED_IN)
    forget(request, response, FORM_COOKIE)
    return response


@router.post("/sign-out", response_class=Response)
def sign_out(visit: CanView) -> Response:
    response = RedirectResponse(SIGN_IN, 303)
    forget(visit.request, response, KEY_COOKIE)
    return response


@router.get("/static/{name}", response_class=Response)
def show_file(name: Annotated[str, Path()]) -> Response:
    content = static_files().get(name)
    if content is None:
        raise HTTPException(404, "No such file.")
    return Response(content, media_type=MEDIA_TYPES[(FOLDER / name).suffix], headers={"Cache-Control": FOREVER})


def own_path(back: str) -> str:
    """Return a path of this server, from a text that somebody may have made up; `/` in place of any other address."""
    is_own = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    return back if is_own else "/"
