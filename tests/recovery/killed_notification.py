"""Run as a process of its own: a sender of notifications that kills itself at a named point.

python -m tests.recovery.killed_notification <registry URL> <moment> [<point> <the how-many-th time>]
"""

import os
import sys
from datetime import datetime

from experiment_pipeline.notifications import apprise_service, webhook
from experiment_pipeline.notifications.sender import Sender
from experiment_pipeline.registry.notifications import Notifications
from experiment_pipeline.registry.registry import Registry
from tests.recovery.kill_points import KillPoints

POINTS = ("acquire", "send", "close")  # each is passed before the call and after it

if __name__ == "__main__":
    url, moment, *fatal = sys.argv[1:]
    points = KillPoints(fatal[0] if fatal else None, int(fatal[1]) if fatal else 0)
    points.mark(Notifications, "acquire", "acquire")
    points.mark(webhook, "post", "send")
    points.mark(apprise_service, "notify", "send")
    points.mark(Notifications, "close_delivered", "close")
    Sender(Registry.open(url), os.environ, None, lambda: datetime.fromisoformat(moment)).send_due(60.0)
