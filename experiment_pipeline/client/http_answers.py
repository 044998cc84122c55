"""Answers over HTTP: the standard library's own client, which needs no installation (docs/adr/0062)."""

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import Message
from functools import cached_property
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from typing_extensions import override

from experiment_pipeline.client.answers import Answers, Json
from experiment_pipeline.client.errors import NoAnswer, NotConnected, TimedOut, UnexpectedAnswer
from experiment_pipeline.client.problems import error_of
from experiment_pipeline.errors import ConfigurationError, NotFound

BASE = "/api/v1"
FIRST_PAUSE = 0.5  # seconds before the second try, doubled before each further one
LONGEST_PAUSE = 30.0  # seconds that a server may ask for; beyond it the error is raised at once
PAGE_SIZE = 200  # of lists that come in pages


class _NoRedirects(HTTPRedirectHandler):
    """Follows no redirect: it would send the key to wherever an answer points."""

    @override
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


class HttpAnswers(Answers):
    """Answers of an API at an address, to an API key. Safe to share between threads.

    Args:
        url: of the server, e.g. `https://experiments.example.com`; a path before `/api/v1` may be part of it.
        key: an API key; it opens one environment.
        timeout: seconds for the connection, and for each part of an answer.
        retries: how often a request without an answer is sent again.
        tls: of https; the system's certificates by default.
        page_size: of lists that come in pages.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 2,
        tls: ssl.SSLContext | None = None,
        page_size: int = PAGE_SIZE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _address(url)
        if not (key.isascii() and key.isprintable() and key.strip() == key and key):
            raise ConfigurationError.of("key", "Must be an API key, as `experiment-pipeline keys create` prints it.")
        if timeout <= 0 or retries < 0:
            raise ConfigurationError.of("timeout", "Must be above 0, and retries 0 or more.")
        self._headers = {"Authorization": f"Api-Key {key}", "Accept": "application/json"}
        self._timeout, self._retries, self._page_size, self._sleep = timeout, retries, page_size, sleep
        self._opener: OpenerDirector = build_opener(
            _NoRedirects, HTTPSHandler(context=tls or ssl.create_default_context())
        )

    @override
    def environment(self) -> str:
        return self._environment

    @override
    def experiments(self, statuses: Sequence[str], search: str) -> Sequence[Json]:
        return self._pages(f"{self._path}/experiments/", "id", {"status": list(statuses), "q": search})

    @override
    def experiment(self, key: str) -> Json:
        return self._get(self._of(key, "/"))

    @override
    def metrics(self, search: str) -> Sequence[Json]:
        return self._pages(f"{self._path}/metrics/", "id", {"q": search})

    @override
    def exposures(self, key: str, phase: int | None) -> Json | None:
        return self._envelope(key, "exposures", phase)

    @override
    def results(self, key: str, phase: int | None) -> Json | None:
        return self._envelope(key, "results", phase)

    @override
    def looks(self, key: str, phase: int | None) -> Sequence[Json]:
        return self._pages(self._of(key, "/looks/"), "number", _in(phase))

    @override
    def health(self, key: str, phase: int | None) -> Json | None:
        return self._envelope(key, "health", phase)

    @override
    def live(self, key: str, phase: int | None) -> Json:
        return self._get(f"{BASE}/experiments/{self._named(key)}/live-stats", _in(phase))

    @override
    def power(self, key: str) -> Json:
        return self._get(self._of(key, "/power/"))

    @override
    def plan(self, request: Mapping[str, object]) -> Json:
        body = json.dumps(request).encode()
        return self._ask(self._request(f"{self._path}/power/", method="POST", body=body), changes_nothing=True)

    @override
    def refresh(self, key: str, phase: int | None) -> None:
        address = self._of(key, "/results/refresh/")
        self._ask(self._request(address, _in(phase), method="POST"), changes_nothing=False)

    @override
    def close(self) -> None:
        self._opener.close()

    @override
    def __repr__(self) -> str:
        return repr(self.url)

    @cached_property
    def _environment(self) -> str:
        """The environment that the key opens: the server is asked once."""
        found = self._member(self._get(f"{BASE}/environments/"), "results")
        if not isinstance(found, list) or len(found) != 1:
            raise UnexpectedAnswer(f"{self.url} did not name one environment of the key.")
        return str(found[0]["key"])

    @property
    def _path(self) -> str:
        return f"{BASE}/environments/{quote(self._environment, safe='')}"

    def _envelope(self, key: str, name: str, phase: int | None) -> Json | None:
        return cast(Json | None, self._member(self._get(self._of(key, f"/{name}/"), _in(phase)), name))

    def _of(self, key: str, rest: str) -> str:
        return f"{self._path}/experiments/{self._named(key)}{rest}"

    def _named(self, key: str) -> str:
        """Return a key as a part of a path, where none can hold a slash or be dots alone."""
        if "/" in key or not key.strip("."):
            raise NotFound(f"No experiment '{key}' in environment '{self._environment}'.")
        return quote(key, safe="")

    def _pages(self, path: str, identity: str, params: Mapping[str, object]) -> list[Json]:
        """Return all entries of a list, each once: one that is added meanwhile moves others to the next page."""
        entries = (entry for page in self._each_page(path, params) for entry in page)
        return list({entry[identity]: entry for entry in entries}.values())

    def _each_page(self, path: str, params: Mapping[str, object]) -> Iterator[list[Json]]:
        number = 1
        while True:
            page = self._get(path, {**params, "page": number, "page_size": self._page_size})
            yield cast(list[Json], self._member(page, "results"))
            if self._member(page, "next") is None:
                return
            number += 1  # the address in `next` is not followed: it would name where the key is sent

    def _get(self, path: str, params: Mapping[str, object] | None = None) -> Json:
        return self._ask(self._request(path, params), changes_nothing=True)

    def _request(
        self, path: str, params: Mapping[str, object] | None = None, *, method: str = "GET", body: bytes | None = None
    ) -> Request:
        given = {name: value for name, value in (params or {}).items() if value not in (None, "", [])}
        query = f"?{urlencode(given, doseq=True)}" if given else ""
        kind = {} if body is None else {"Content-Type": "application/json"}
        return Request(f"{self.url}{path}{query}", body, self._headers | kind, method=method)  # noqa: S310 - http(s)

    def _ask(self, request: Request, *, changes_nothing: bool) -> Json:
        """Return the answer to a request, which is sent again where there was none."""
        for pause in self._pauses():
            try:
                return self._send(request)
            except NoAnswer as error:
                wait = pause if error.retry_after is None or pause is None else max(pause, error.retry_after)
                if wait is None or wait > LONGEST_PAUSE or not (changes_nothing or error.is_undone):
                    raise
            self._sleep(wait)
        raise AssertionError("unreachable: the last try returns or raises")

    def _pauses(self) -> Iterator[float | None]:
        """Yield the seconds to wait after each try; None after the last."""
        yield from (FIRST_PAUSE * 2**number for number in range(self._retries))
        yield None

    def _send(self, request: Request) -> Json:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return self._document(answer.status, answer.headers, answer.read())
        except HTTPError as refused:
            with refused:
                raise error_of(refused.code, refused.headers, refused.read(), self.url) from None
        except URLError as unsent:  # urllib's for everything before the request was sent as a whole
            raise self._not_sent(unsent.reason) from None
        except TimeoutError:
            raise TimedOut(f"{self.url} did not answer within {self._timeout:g} s.") from None
        except (OSError, HTTPException) as lost:
            raise NotConnected(f"The connection to {self.url} was lost: {str(lost) or type(lost).__name__}.") from None

    def _not_sent(self, reason: object) -> NoAnswer | UnexpectedAnswer:
        if isinstance(reason, TimeoutError):
            return TimedOut(f"{self.url} cannot be reached within {self._timeout:g} s.", is_undone=True)
        if isinstance(reason, ssl.SSLError):  # trying again would not change it
            return UnexpectedAnswer(f"{self.url} has no connection that is to be trusted: {reason}.")
        return NotConnected(f"{self.url} cannot be reached: {reason}.", is_undone=True)

    def _document(self, status: int, headers: Message, body: bytes) -> Json:
        if status == 202 and not body:
            return {}
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            kind = headers.get_content_type()
            raise UnexpectedAnswer(f"{self.url} answered {status} with {kind}: is it the address of the API?")
        return document

    def _member(self, document: Json, name: str) -> Any:
        if name not in document:
            raise UnexpectedAnswer(f"An answer of {self.url} has no '{name}': is it the address of the API?")
        return document[name]


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConfigurationError.of("url", "Must be the http or https address of a server, without a query.")
    return url.rstrip("/").removesuffix(BASE)


def _in(phase: int | None) -> dict[str, object]:
    return {} if phase is None else {"phase": phase}
