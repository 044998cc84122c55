"""Every error that this package raises on purpose.

    ExperimentPipelineError
    ├── ConfigurationError        a setting, declaration or request breaks a rule; names the field
    ├── NotFound                  no such environment, experiment, metric or key
    ├── Conflict                  valid in itself, but it conflicts with the registry's current state
    ├── NotAllowed                the experiment's present status forbids it (rules L3, L4)
    │   └── InvalidTransition     the lifecycle has no such step (rule L1)
    ├── RefreshRefused            a refresh that may not happen; never counts as a failure (rule R3)
    │   ├── NotStarted            the experiment has not started
    │   ├── Final                 the computation is final (rule R6)
    │   ├── Throttled             within the minimum interval; says how many seconds are left (rule R2)
    │   ├── Leased                another run holds the experiment (rule R7)
    │   └── Superseded            the run lost its lease, or a newer payload stands already (rule R5)
    ├── NotJson                   a text is not JSON as RFC 8259 has it
    ├── EventsRefused             a request to the event collector of which nothing lands
    │   ├── UnknownEnvironment    it names no environment that the registry has
    │   ├── InvalidBody           its body is no envelope of events, or ended early
    │   ├── BodyTooLarge          more bytes or events than one request may hold
    │   ├── Overloaded            more bytes wait for the disk than may wait
    │   └── LandingUnavailable    the landing zone cannot be written
    ├── LakeError                 the events lake is not what it should be
    └── ArtifactMissing           an upstream artifact has not been materialised yet

Messages name the field, say what is allowed, and never hold a secret.
"""

import math
from datetime import timedelta


class ExperimentPipelineError(Exception):
    """Root of every deliberate error."""


class ConfigurationError(ExperimentPipelineError):
    """A value breaks a rule.

    `errors` maps each field (dotted path, e.g. `variants.1.key`) to its messages; `str()` is one line.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items()))

    @classmethod
    def of(cls, field: str, message: str) -> "ConfigurationError":
        """One message on one field."""
        return cls({field: [message]})

    def below(self, path: str) -> "ConfigurationError":
        """The same errors with their fields below `path`: `key` becomes `experiments.checkout.key`."""
        return ConfigurationError({f"{path}.{field}": messages for field, messages in self.errors.items()})


class NotFound(ExperimentPipelineError):
    """Nothing of that name in that environment; does not tell whether another environment has it."""


class Conflict(ExperimentPipelineError):
    """The request is valid but the present state of the registry forbids it."""


class NotAllowed(ExperimentPipelineError):
    """The experiment's present status forbids what was asked."""


class InvalidTransition(NotAllowed):
    """Rule L1 has no such step."""

    def __init__(self, current: str, requested: str) -> None:
        super().__init__(f"Cannot transition from '{current}' to '{requested}'.")


class RefreshRefused(ExperimentPipelineError):
    """A refresh that may not happen now. A refusal is no failure (rule R3)."""


class NotStarted(RefreshRefused):
    """The experiment has no window yet."""


class Final(RefreshRefused):
    """The computation is final: nothing may change it any more (rule R6)."""


class Throttled(RefreshRefused):
    """Within the minimum interval of the last user's request (rule R2)."""

    def __init__(self, message: str, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(message)

    @property
    def seconds_left(self) -> int:
        """Whole seconds after which it may be asked again."""
        return max(1, math.ceil(self.retry_after.total_seconds()))


class Leased(RefreshRefused):
    """Another run holds this experiment's lease (rule R7)."""


class Superseded(RefreshRefused):
    """This run may no longer publish: the lease is lost, or what stands is as new or newer (rule R5)."""


class NotJson(ExperimentPipelineError):
    """A text that is not JSON."""


class EventsRefused(ExperimentPipelineError):
    """A request to the event collector of which nothing lands."""


class UnknownEnvironment(EventsRefused):
    """The registry has no environment of the key that the request names."""

    def __init__(self, environment_key: str) -> None:
        missing = "The header X-Environment-Key must name an environment."
        super().__init__(f"{missing} The registry has no '{environment_key}'." if environment_key else missing)


class InvalidBody(EventsRefused):
    """The body is no envelope of events, or not encoded as its headers say."""


class BodyTooLarge(EventsRefused):
    """The body holds more bytes or events than one request may."""


class Overloaded(EventsRefused):
    """More bytes wait for the disk than may wait."""

    def __init__(self) -> None:
        super().__init__("Too much is waiting for the disk. Try again later.")


class LandingUnavailable(EventsRefused):
    """The landing zone cannot be written."""

    def __init__(self) -> None:
        super().__init__("The landing zone cannot be written. Try again later.")


class LakeError(ExperimentPipelineError):
    """The events lake cannot be read or written as asked."""


class ArtifactMissing(ExperimentPipelineError):
    """An upstream artifact has not been materialised for this partition."""
