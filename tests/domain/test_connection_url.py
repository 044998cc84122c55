"""URLs of connections: what is read of them, and that no message holds a secret."""

import pytest

from experiment_pipeline.domain.connection_url import ConnectionUrl
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable

URL = "postgresql://ana:hunter%2F2@host:5433/shop?sslmode=require&sslpassword=topsecret"


def test_connection_url__parts__are_decoded() -> None:
    url = ConnectionUrl(URL, "shop")
    assert (url.scheme, url.user, url.password, url.port) == ("postgresql", "ana", "hunter/2", 5433)
    assert url.options["sslmode"] == "require"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("role ana may not", "role *** may not."),
        ("banana is\nno table.", "banana is no table."),
        ("no hunter/2 here", "no *** here."),
        ("no hunter%2F2 here", "no *** here."),
        ("with topsecret", "with ***."),
        (f"cannot open {URL}", "cannot open ***."),
        ("prefixhunter/2suffix", "its message is not shown, since it holds a part of the URL."),
        ("red \x1b[31m", r"red \x1b[31m."),
        ("x" * 1000, "x" * 300 + "."),
    ],
)
def test_connection_url__told__hides_every_secret(said: str, told: str) -> None:
    assert ConnectionUrl(URL, "shop").told(said) == told


def test_connection_url__errors__name_the_connection_and_repr_has_no_secret() -> None:
    url = ConnectionUrl(URL, "shop")
    assert isinstance(url.refused("No."), ConfigurationError)
    assert str(url.refused("No.")) == "connections.shop: No."
    assert isinstance(url.unreachable("No."), SourceUnreachable)
    assert repr(url) == "ConnectionUrl(key='shop', scheme='postgresql')"


@pytest.mark.parametrize("text", ["postgresql://ana:12#hunter2@host:x/shop", "postgresql://[hunter2/shop"])
def test_connection_url__text_that_is_no_url__is_refused_without_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="Its URL cannot be read") as refused:
        ConnectionUrl(text, "shop")
    assert "hunter2" not in str(refused.value)
