"""Points at which a program of the recovery tests kills itself: before and after a call."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class KillPoints:
    """Counts the points that a process passes, and kills it at one of them.

    Attributes:
        point: the name of the fatal one; None for none.
        at: the how-many-th time that it is passed, from 1. A marked call passes its point before it and after it.
    """

    point: str | None
    at: int
    passed: Counter[str] = field(default_factory=Counter)

    def pass_by(self, name: str) -> None:
        self.passed[name] += 1
        if name == self.point and self.passed[name] == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def mark(self, owner: Any, method: str, name: str | Callable[..., str | None]) -> None:
        """Make every call of a method, or of a module's function, a point; its name may depend on the arguments."""
        function = getattr(owner, method)

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            called = name(*args) if callable(name) else name
            if called is not None:
                self.pass_by(called)
            result = function(*args, **kwargs)
            if called is not None:
                self.pass_by(called)
            return result

        setattr(owner, method, wrapper)
