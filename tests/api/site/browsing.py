"""Somebody in a browser, in process: signs in through the form, follows links, sends the forms that pages have."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from httpx import Response
from typing_extensions import override

from experiment_pipeline.domain.api_keys import Scope
from tests.api.conftest import Api

VOID = {"meta", "link", "input", "img", "br", "hr", "rect", "path", "circle", "line", "polyline", "polygon"}


@dataclass
class Page:
    """An answer that is a page, and well formed."""

    status: int
    html: str
    text: str
    response: Response

    def field(self, name: str) -> str:
        """The value of the first hidden field of a name."""
        (found, *_) = re.findall(rf'name="{name}" value="([^"]*)"', self.html)
        return str(found)


class Checked(HTMLParser):
    """The elements of a page, which must be closed in their order, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, tag

    @override
    def handle_data(self, data: str) -> None:
        self.words.append(data)


def checked(response: Response) -> Page:
    """The page of an answer: every element closed, no script, style or handler within, no address of elsewhere."""
    assert response.headers["content-type"] == "text/html; charset=utf-8", response.text
    parser = Checked()
    parser.feed(response.text)
    parser.close()
    assert parser.open == []
    for tag, attributes in parser.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        assert tag not in ("style", "iframe", "object", "embed", "base"), tag
        assert tag != "script" or "src" in attributes
        for name in ("href", "src", "action"):
            place = attributes.get(name) or ""
            assert place.startswith(("/", "?", "#")) or not place, place
            assert not place.startswith("//"), place
    text = " ".join("".join(parser.words).split())
    return Page(response.status_code, response.text, text, response)


@dataclass
class Browser:
    """A browser's tab with its cookies; redirects are followed by hand, so that tests see them."""

    api: Api

    def get(self, path: str, **sent: Any) -> Page:
        """The page at a path, redirects followed."""
        return checked(self.api.client.get(path, follow_redirects=True, **sent))

    def post(self, path: str, form: dict[str, str] | None = None, **sent: Any) -> Response:
        """The answer to a form, redirects not followed."""
        answer: Response = self.api.client.post(path, data=form or {}, follow_redirects=False, **sent)
        return answer

    def sign_in(self, token: str, back: str = "/") -> Response:
        """Sign in through the form."""
        shown = self.get("/sign-in", params={"back": back})
        return self.post(
            "/sign-in", {"key": token, "back": shown.field("back"), "form_token": shown.field("form_token")}
        )

    def send(self, path: str, page: str, **form: str) -> Response:
        """Send a form with the token that a page has."""
        return self.post(path, {"form_token": self.get(page).field("form_token"), **form})


@contextmanager
def signed_in(api: Api, scope: Scope | str = Scope.READ) -> Iterator[Browser]:
    """A browser that is signed in with a key of a scope, and signed out at the end."""
    api.client.cookies.clear()
    browser = Browser(api)
    assert browser.sign_in(api.tokens[scope]).status_code == 303
    yield browser
    api.client.cookies.clear()
