"""The URL of a connection, and what may be told of it: never its user, its password or another secret (rule D3)."""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from experiment_pipeline.domain.texts import printable
from experiment_pipeline.errors import ConfigurationError, SourceUnreachable

HIDDEN = "***"
SECRET_OPTION = re.compile(r"pass|secret|token|key|credential|user|pwd", re.IGNORECASE)
LONGEST_CAUSE = 300  # characters of what a server says


class ConnectionUrl:
    """The URL of a connection that the manifest names.

    Attributes:
        key: of the connection, for messages.
        parts: of the URL.
        options: behind its question mark.
    """

    def __init__(self, text: str, key: str) -> None:
        """Take a URL apart.

        Raises:
            ConfigurationError: it is none; the message does not hold it.
        """
        self.key = key
        try:
            self.parts: SplitResult = urlsplit(text)
            self.port: int | None = self.parts.port
            is_whole = not self.parts.fragment  # of a `#` in a password
        except ValueError:
            is_whole = False
        if not is_whole:
            message = (
                "Its URL cannot be read: write other characters than letters and digits of a password as %-escapes."
            )
            raise self.refused(message) from None
        self.options: dict[str, str] = dict(parse_qsl(self.parts.query))
        self._text = text
        self._secrets = sorted({*self._found_secrets(), text}, key=len, reverse=True)

    @property
    def text(self) -> str:
        """The URL itself, which no message may hold."""
        return self._text

    @property
    def scheme(self) -> str:
        """Its scheme: `postgresql`."""
        return self.parts.scheme

    @property
    def user(self) -> str | None:
        """The user, decoded."""
        return unquote(self.parts.username) if self.parts.username else None

    @property
    def password(self) -> str | None:
        """The password, decoded."""
        return unquote(self.parts.password) if self.parts.password else None

    def __repr__(self) -> str:
        return f"ConnectionUrl(key={self.key!r}, scheme={self.scheme!r})"

    def refused(self, message: str) -> ConfigurationError:
        """Return the error of a connection that is declared wrongly, or that its server refuses."""
        return ConfigurationError.of(f"connections.{self.key}", message)

    def unreachable(self, message: str) -> SourceUnreachable:
        """Return the error of a server that does not answer, or no longer."""
        return SourceUnreachable(f"connections.{self.key}: {message}")

    def told(self, cause: str) -> str:
        """Return what a server or a driver said in one line, every secret of the URL hidden."""
        line = " ".join(cause.split())
        for secret in self._secrets:
            line = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, line)
        if any(secret in line for secret in self._passwords()):
            return "its message is not shown, since it holds a part of the URL."
        return printable(line[:LONGEST_CAUSE]).rstrip(".") + "."

    def _found_secrets(self) -> Iterator[str]:
        yield from self._passwords()
        for secret in (self.parts.username, self.user):
            if secret:
                yield secret

    def _passwords(self) -> Iterator[str]:
        raw = self.parts.password
        named = (value for name, value in self.options.items() if SECRET_OPTION.search(name))
        for secret in (raw, self.password, *named):
            if secret:
                yield secret
