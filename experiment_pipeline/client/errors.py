"""Errors of the client.

    ExperimentPipelineError
    ├── ClientError
    │   ├── NoAnswer                  there is no answer to the request: it may be worth another try
    │   │   ├── NotConnected          the server cannot be reached, or the connection was lost
    │   │   ├── TimedOut              the server did not answer within the timeout
    │   │   └── Unavailable           the server, its registry or its lake cannot answer at the moment
    │   ├── Unauthorized              no such key: unknown, revoked or expired
    │   ├── Forbidden                 the key's scope does not include it
    │   ├── UnexpectedAnswer          not an answer of this API: another server, or another version of it
    │   ├── RefreshFailed             the refresh that was waited for has failed
    │   └── NotRefreshed              it was neither computed nor failed in the time that was waited
    ├── NotFound                      nothing in the environment has this name
    ├── ConfigurationError            a value breaks a rule; names the field
    ├── Conflict                      it conflicts with the present state, e.g. nothing is published yet
    └── RefreshRefused
        ├── NotStarted                the experiment has not started
        ├── Final                     the results are final
        └── Throttled                 a refresh was requested recently; has the seconds left

Those outside of `ClientError` are the package's own (`experiment_pipeline.errors`). Requests are sent again after a
`NoAnswer` by the client itself, as often as it was told to. No message holds a key.
"""

from experiment_pipeline.errors import ExperimentPipelineError


class ClientError(ExperimentPipelineError):
    """The root of what the client alone raises."""


class NoAnswer(ClientError):
    """There is no answer to a request.

    Attributes:
        is_undone: whether it is known that the request has changed nothing; one that changes something is sent again
            only then.
        retry_after: seconds after which the server asks to be tried again; None where it does not say.
    """

    def __init__(self, message: str, *, is_undone: bool = False, retry_after: float | None = None) -> None:
        self.is_undone = is_undone
        self.retry_after = retry_after
        super().__init__(message)


class NotConnected(NoAnswer):
    """The server cannot be reached, or the connection was lost."""


class TimedOut(NoAnswer):
    """The server did not answer within the timeout."""


class Unavailable(NoAnswer):
    """The server, its registry or its lake cannot answer at the moment."""


class Unauthorized(ClientError):
    """The API key is unknown, revoked or expired."""


class Forbidden(ClientError):
    """The API key's scope does not include what was asked for."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of this API."""


class RefreshFailed(ClientError):
    """The refresh that was waited for has failed; the log of its run has the reason."""


class NotRefreshed(ClientError):
    """The refresh was neither published nor failed in the time that was waited."""
