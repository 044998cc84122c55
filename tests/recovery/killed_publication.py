"""Run as a process of its own: a command line that ends itself once it has published one computation of two.

python -m tests.recovery.killed_publication <signal> <argument> ...
"""

import os
import sys
from signal import Signals

from experiment_pipeline.cli.main import main
from experiment_pipeline.domain.refresh import ComputationState, Publication
from experiment_pipeline.registry.computations import Computations

publish = Computations.publish


def publish_and_die(self: Computations, publication: Publication) -> ComputationState:
    """Publish, and send this process the signal after the first time."""
    state = publish(self, publication)
    os.kill(os.getpid(), Signals[sys.argv[1]])
    return state


if __name__ == "__main__":
    Computations.publish = publish_and_die  # type: ignore[method-assign]
    main(sys.argv[2:])
