"""Errors that this package raises on purpose.

    ExperimentPipelineError
    ├── ConfigurationError        a setting, declaration or request breaks a rule; names the field
    ├── NotFound                  no such environment, experiment, metric or key
    ├── KeyExpired                the time of an API key is over
    ├── RateLimited               an API key, or an environment's senders, ask more often than a process answers
    ├── Conflict                  valid in itself, but it conflicts with the registry's current state
    ├── NotAllowed                the experiment's current status forbids it (rules L3, L4)
    │   └── InvalidTransition     the lifecycle has no such transition (rule L1)
    ├── RefreshRefused            a refresh is not allowed now; never counts as a failure (rule R3)
    │   ├── NotStarted            the experiment has not started
    │   ├── Final                 the computation is final (rule R6)
    │   ├── Throttled             requested within the minimum interval; has the seconds left (rule R2)
    │   ├── Leased                another run owns the experiment's lease (rule R7)
    │   └── Superseded            the run lost its lease, or a newer payload is published (rule R5)
    ├── NotJson                   a text is not JSON as RFC 8259 defines it
    ├── EventsRefused             a request to the event collector is refused as a whole
    │   ├── UnknownEnvironment    the registry has no environment of that key
    │   ├── InvalidBody           the body is not an envelope, or ended early
    │   ├── BodyTooLarge          the body has more bytes or events than one request may
    │   ├── Overloaded            too many bytes are in memory
    │   │   └── GaveWay           the body gave way to others while it was being sent
    │   └── LandingUnavailable    the landing zone cannot be written
    ├── RegistryUnavailable       the registry's database cannot do what it is asked for at the moment
    │   ├── RegistryUnreachable   it does not answer: stopped, cut off, or its file cannot be opened
    │   ├── RegistryBusy          another transaction has a lock, or the server has too much to do
    │   ├── RegistryReadOnly      it takes no changes
    │   └── RegistryFull          its disk is full
    ├── StorageUnavailable        the object storage does not answer, or refuses; an OSError, too
    ├── SourceUnreachable         a source's host or connection is lost, or its server ended the query (rule D3)
    ├── TargetUnreachable         a target of notifications did not take a test
    ├── LakeError                 the events lake cannot be read or written as asked
    │   ├── UnsoundLake           lake and registry do not fit: batches are missing, or belong to another installation
    │   └── RowsDropped           a data version has lost rows, which were removed later and dropped (rule E6)
    ├── BackupError               a backup cannot be made here, or is not whole
    ├── ErasureIncomplete         records of an erased identity are left, or a store cannot be searched
    ├── ContractBroken            results contradict themselves, and are not published (rule X5)
    ├── IncrementalDiffers        an audit found an incremental refresh to differ from the full one (rule I4)
    └── ArtifactMissing           an upstream artifact has not been materialised yet

Messages name the field, say what is allowed, and never hold a secret.
"""

import math
from datetime import timedelta


def is_interrupt(error: BaseException) -> bool:
    """Whether an error is SIGINT: DuckDB ends a statement with a RuntimeError of its own in place of Python's."""
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, RuntimeError) and str(error) == "Query interrupted"
    )


class ExperimentPipelineError(Exception):
    """The root of the tree."""


class ConfigurationError(ExperimentPipelineError):
    """A value breaks a rule.

    Attributes:
        errors: messages by field, a dotted path such as `variants.1.key`. `str()` is one line.
    """

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items()))

    @classmethod
    def of(cls, field: str, message: str) -> "ConfigurationError":
        """Return the error of one message on one field."""
        return cls({field: [message]})

    def below(self, path: str) -> "ConfigurationError":
        """Return the same errors with their fields below `path`: `key` becomes `experiments.checkout.key`."""
        return ConfigurationError({f"{path}.{field}": messages for field, messages in self.errors.items()})


class NotFound(ExperimentPipelineError):
    """Nothing in that environment has the name; whether another environment has it is not told."""


class KeyExpired(ExperimentPipelineError):
    """The time of an API key is over; only its holder is told."""


class RateLimited(ExperimentPipelineError):
    """An API key, or the senders of an environment, ask more often than one process answers them.

    Attributes:
        seconds_left: whole seconds after which one more request is answered.
    """

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds_left = max(1, math.ceil(seconds))
        super().__init__(message)


class Conflict(ExperimentPipelineError):
    """The request is valid, but it conflicts with the current state of the registry."""


class NotAllowed(ExperimentPipelineError):
    """The experiment's current status forbids the request."""


class InvalidTransition(NotAllowed):
    """Rule L1 has no such transition.

    Attributes:
        advice: what the experiment is, and what can be done with it; `str()` is the fixed text of the API's answer.
    """

    def __init__(self, current: str, requested: str, advice: str) -> None:
        self.advice = advice
        super().__init__(f"Cannot transition from '{current}' to '{requested}'.")


class RefreshRefused(ExperimentPipelineError):
    """A refresh is not allowed now. A refusal is not a failure (rule R3)."""


class NotStarted(RefreshRefused):
    """The experiment has not started, so it has no window."""


class Final(RefreshRefused):
    """The computation is final: nothing may change it (rule R6)."""


class Throttled(RefreshRefused):
    """The last request of a user is less than the minimum interval ago (rule R2)."""

    def __init__(self, message: str, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__(message)

    @property
    def seconds_left(self) -> int:
        """Whole seconds until it may be requested again."""
        return max(1, math.ceil(self.retry_after.total_seconds()))


class Leased(RefreshRefused):
    """Another run owns the experiment's lease (rule R7)."""


class Superseded(RefreshRefused):
    """This run may not publish: its lease is lost, or a payload as new or newer is published (rule R5)."""


class NotJson(ExperimentPipelineError):
    """A text that is not JSON."""


class EventsRefused(ExperimentPipelineError):
    """A request to the event collector is refused as a whole."""


class UnknownEnvironment(EventsRefused):
    """The registry has no environment of the key that the request names."""

    def __init__(self, environment_key: str) -> None:
        missing = "The header X-Environment-Key must name an environment."
        super().__init__(f"{missing} The registry has no '{environment_key}'." if environment_key else missing)


class InvalidBody(EventsRefused):
    """The body is not an envelope of events, or is not encoded as its headers say."""


class BodyTooLarge(EventsRefused):
    """The body holds more bytes or events than one request may."""


class Overloaded(EventsRefused):
    """Too many bytes are in memory, of one sender, one environment or all of them."""

    def __init__(self, message: str = "Too much is waiting for the disk. Try again later.") -> None:
        super().__init__(message)


class GaveWay(Overloaded):
    """The body came slowly, or was one of many of its environment, when others needed the memory."""

    def __init__(self) -> None:
        super().__init__("The body gave way to others while it was being sent. Send it again later.")


class LandingUnavailable(EventsRefused):
    """The landing zone cannot be written."""

    def __init__(self) -> None:
        super().__init__("The landing zone cannot be written. Try again later.")


class RegistryUnavailable(ExperimentPipelineError):
    """The registry's database cannot do what it is asked for at the moment; the same call may work later.

    Attributes:
        summary: one sentence, without the names of servers and files.
        remedy: what an operator can do.
        retry_after: whole seconds after which it is worth another try.
        cause: what the database said, in one line. `str()` has all of it.
    """

    summary = "The registry's database does not answer."
    remedy = "Try again later."
    retry_after = 5

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(f"{self.summary} {self.remedy} The cause: {cause}")

    def again(self) -> "RegistryUnavailable":
        """Return an equal error that has no traceback yet."""
        return type(self)(self.cause)


class RegistryUnreachable(RegistryUnavailable):
    """The database is stopped or cut off, or its file cannot be opened."""

    summary = "The registry's database cannot be reached."
    remedy = "Check that it runs, and the address and the password in EXPERIMENT_PIPELINE_REGISTRY_URL."


class RegistryBusy(RegistryUnavailable):
    """Another transaction has a lock for too long, or the server has too much to do."""

    summary = "The registry's database is busy: another transaction has a lock, or it has too much to do."
    remedy = "Try again; if it lasts, end the transaction that has the lock."
    retry_after = 1


class RegistryReadOnly(RegistryUnavailable):
    """The database takes no changes: a standby server, or one that an administrator or a full disk has made so."""

    summary = "The registry's database is read-only: it takes no changes."
    remedy = "Check its permissions, its free space, and whether it is the primary server after a failover."
    retry_after = 10


class RegistryFull(RegistryUnavailable):
    """The database has no room for the change."""

    summary = "The registry's database has no room: it takes no changes."
    remedy = "Make room on its disk."
    retry_after = 10


class StorageUnavailable(ExperimentPipelineError, ConnectionError):
    """The object storage does not answer, or refuses what it is asked for. The same call may succeed later."""


class SourceUnreachable(ExperimentPipelineError):
    """A source cannot be read at the moment: its host or the connection is lost. The same call may work later."""


class TargetUnreachable(ExperimentPipelineError):
    """A target of notifications did not take a test."""


class LakeError(ExperimentPipelineError):
    """The events lake cannot be read or written as asked."""


class UnsoundLake(LakeError):
    """Lake and registry do not fit together: nothing is computed from it, and nothing is ingested into it."""


class RowsDropped(LakeError):
    """Rows of a data version were removed later and have been dropped from the lake: it cannot be read any more."""


class BackupError(ExperimentPipelineError):
    """A backup cannot be made or restored there, or is not whole."""


class ErasureIncomplete(ExperimentPipelineError):
    """Records of an identity are left, or a store could not be searched: the erasure stays open."""


class ContractBroken(ExperimentPipelineError):
    """Results that contradict themselves: they are not published, and the last good payload stays (rules X5, R3)."""


class IncrementalDiffers(ExperimentPipelineError):
    """An incremental refresh differed from the full one, which is what was published (rule I4)."""


class ArtifactMissing(ExperimentPipelineError):
    """An upstream artifact has not been materialised for this partition."""
