"""Signing in to the results page: the cookie, the form's token, keys that open nothing, and security headers."""

import logging
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from experiment_pipeline.api.app import create_app, create_collector
from experiment_pipeline.api.site.sessions import FORM_COOKIE, KEY_COOKIE, form_token_of
from experiment_pipeline.api.site.sign_in import own_path
from experiment_pipeline.domain.api_keys import Scope
from experiment_pipeline.pages.html import static_files
from tests.api.conftest import NOW, Api
from tests.api.site.browsing import Browser, checked, signed_in

LIST = "/environments/production/experiments/"


def test_sign_in__with_a_key__sets_a_cookie_that_no_script_and_no_other_site_gets(api: Api) -> None:
    signed = Browser(api).sign_in(api.tokens["read"])
    assert (signed.status_code, signed.headers["location"]) == (303, "/")
    (cookie,) = [each for each in signed.headers.get_list("set-cookie") if each.startswith(f"{KEY_COOKIE}=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=43200"} == attributes
    assert api.client.get("/", follow_redirects=False).headers["location"] == LIST


def test_sign_in__over_https__sends_its_cookies_over_https_alone(api: Api) -> None:
    with TestClient(create_app(api.registry, api.settings, api.clock), base_url="https://testserver") as client:
        browser = Browser(Api(client, api.registry, api.settings, api.clock, api.tokens))
        shown = browser.get("/sign-in")
        assert "secure" in shown.response.headers["set-cookie"].lower()
        assert "secure" in browser.sign_in(api.tokens["read"]).headers["set-cookie"].lower()


def test_sign_in__with_a_key_that_opens_nothing__says_so_and_keeps_nothing(api: Api) -> None:
    for wrong in ("", "x", f"{api.tokens['admin']}x", f"xp_{'0' * 12}_{'A' * 43}", "\u202e<b>", "k" * 2_000):
        refused = checked(Browser(api).sign_in(wrong))
        assert (refused.status, KEY_COOKIE in api.client.cookies) == (401, False)
        assert "No such key: it is mistyped, or was revoked." in refused.text
        assert "<b>" not in refused.html.split("</h1>")[1].split("<form")[0]


def test_sign_in__without_the_token_of_its_own_form__is_refused(api: Api) -> None:
    browser = Browser(api)
    shown = browser.get("/sign-in")
    form = {"key": api.tokens["read"], "back": "/"}
    for sent in (form, {**form, "form_token": "0" * 64}, {**form, "form_token": "\u20ac"}):
        assert checked(browser.post("/sign-in", sent)).status == 403
    proven = {**form, "form_token": shown.field("form_token")}
    assert browser.post("/sign-in", proven, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    api.client.cookies.delete(FORM_COOKIE)
    assert browser.post("/sign-in", proven).status_code == 403
    assert KEY_COOKIE not in api.client.cookies


@pytest.mark.parametrize("body", [b"{}", b""])
def test_sign_in__of_another_content_type__is_a_415(api: Api, body: bytes) -> None:
    answer = api.client.post("/sign-in", content=body, headers={"content-type": "application/json"})
    assert checked(answer).status == 415


def test_sign_in__of_a_form_with_too_many_fields__is_a_400(api: Api) -> None:
    assert checked(Browser(api).post("/sign-in", {f"f{number}": "" for number in range(200)})).status == 400


def test_page__without_a_key__leads_to_the_form_and_back(api: Api) -> None:
    answer = api.client.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?back=%2F")
    assert Browser(api).get("/").field("back") == "/"


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"]
)
def test_own_path__of_another_address__is_the_beginning(elsewhere: str) -> None:
    assert own_path(elsewhere) == "/"
    assert own_path("/environments/x/?q=a") == "/environments/x/?q=a"


def test_page__with_a_key_that_was_revoked_meanwhile__says_so_and_forgets_it(api: Api) -> None:
    with signed_in(api, "read") as browser:
        api.registry.keys.revoke(api.tokens["read"].split("_")[1], actor="tests", now=NOW)
        refused = checked(api.client.get("/", follow_redirects=False))
        assert refused.status == 401
        assert "it was revoked" in refused.text
        assert KEY_COOKIE not in api.client.cookies
        assert browser.get("/").status == 200  # the form to sign in


def test_key__that_expires__opens_nothing_from_then_on(api: Api) -> None:
    _, token = api.registry.keys.create(
        "production", Scope.READ, "for an hour", actor="tests", now=NOW, valid_for=timedelta(hours=1)
    )
    browser = Browser(api)
    assert browser.sign_in(token).status_code == 303
    assert browser.get(LIST).status == 200
    api.clock.pass_by(timedelta(hours=2))
    expired = browser.get(LIST)
    assert (expired.status, "This API key expired at 2026-03-02T13:00:00Z" in expired.text) == (401, True)
    again = checked(browser.sign_in(token))
    assert (again.status, "This API key expired at" in again.text) == (401, True)


def test_key__is_neither_logged_nor_shown(
    api: Api, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = api.tokens["admin"].split("_", 2)[2]
    mistyped = f"{api.tokens['admin']}x"
    with caplog.at_level(logging.DEBUG), signed_in(api, "admin") as browser:
        shown = [browser.get(path).html for path in (LIST, "/environments/production/power/")]
        shown.append(browser.sign_in(mistyped).text)
    written = capfd.readouterr()
    assert secret not in "".join((*shown, written.out, written.err, caplog.text))


def test_sign_out__forgets_the_key(api: Api) -> None:
    with signed_in(api) as browser:
        assert browser.post("/sign-out", {"form_token": "0"}).status_code == 403
        assert KEY_COOKIE in api.client.cookies
        signed_out = browser.post("/sign-out", {"form_token": form_token_of(api.tokens["read"])})
        assert (signed_out.status_code, signed_out.headers["location"]) == (303, "/sign-in")
        assert KEY_COOKIE not in api.client.cookies


def test_pages__and_refusals__have_security_headers(api: Api) -> None:
    for path in ("/sign-in", "/", "/static/nothing.css"):
        answer = api.client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_static__files__are_served_under_addresses_of_their_content(api: Api) -> None:
    shown = Browser(api).get("/sign-in").html
    for name in static_files():
        (place,) = {each for each in shown.split('"') if each.startswith(f"/static/{name}?v=")}
        answer = api.client.get(place)
        assert (answer.status_code, answer.content) == (200, static_files()[name])
        assert "immutable" in answer.headers["cache-control"]
    assert api.client.get("/static/..%2fbase.html").status_code == 404


def test_collector__has_no_pages(api: Api) -> None:
    with TestClient(create_collector(api.registry, api.settings, api.clock)) as client:
        assert [client.get(path).status_code for path in ("/", "/sign-in", "/static/site.css")] == [404, 404, 404]
