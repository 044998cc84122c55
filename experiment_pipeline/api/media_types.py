"""Media types and encodings of bodies: whatever is not supported is a 415 that names what is."""

from fastapi import HTTPException, Request

IDENTITY = "identity"


def require_json(request: Request) -> None:
    """Raise HTTPException, a 415, for a body that is not plain JSON by its headers; no body at all may pass."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    if not is_json(headers.get("content-type", "")):
        raise HTTPException(415, "The content type must be application/json.", {"Accept": "application/json"})
    if encoding_of(request) != IDENTITY:
        raise HTTPException(415, "The body must have no content encoding.", {"Accept-Encoding": IDENTITY})


def require_json_or_gzip(request: Request) -> None:
    """Raise HTTPException, a 415, for a body that is neither JSON nor gzip of it by its headers."""
    if not is_json(request.headers.get("content-type", "")):
        raise HTTPException(415, "The content type must be application/json.", {"Accept": "application/json"})
    if encoding_of(request) not in (IDENTITY, "gzip"):
        raise HTTPException(415, "The content encoding must be gzip, or none.", {"Accept-Encoding": "gzip, identity"})


def is_json(content_type: str) -> bool:
    """Whether a `Content-Type` says JSON, or a kind of JSON (`application/problem+json`)."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def encoding_of(request: Request) -> str:
    """Return the content encoding of a request's body, in small letters."""
    return request.headers.get("content-encoding", IDENTITY).strip().lower()
