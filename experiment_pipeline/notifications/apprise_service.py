"""Services that apprise knows: Slack, Teams, e-mail and others. An optional dependency."""

import logging

from experiment_pipeline.notifications.failures import SendFailed

NOT_INSTALLED = "apprise is not installed: install experiment-pipeline[notify]."


def notify(url: str, title: str, text: str) -> None:
    """Send a plain text through apprise.

    Args:
        url: of the service, in apprise's form; a secret, which no message holds.
        title: one line.
        text: without markup.

    Raises:
        SendFailed: apprise is not installed, does not know the URL, or says that it was not delivered.
    """
    try:
        import apprise
    except ImportError:
        raise SendFailed(NOT_INSTALLED, was_sent=False) from None
    logging.getLogger("apprise").disabled = True  # its messages may hold a part of the URL
    service = apprise.Apprise()
    try:
        is_known = service.add(url)
    except Exception as error:  # noqa: BLE001 - of any of its services; the text may hold the URL
        raise SendFailed(f"apprise cannot read the URL ({type(error).__name__}).", was_sent=False) from None
    if not is_known:
        raise SendFailed("The URL is none that apprise knows.", was_sent=False)
    try:
        arrived = service.notify(body=text, title=title, body_format=apprise.NotifyFormat.TEXT)
    except Exception as error:  # noqa: BLE001 - of any of its services; the text may hold the URL
        raise SendFailed(f"apprise failed ({type(error).__name__}).", was_sent=True) from None
    if not arrived:
        raise SendFailed("apprise says that the service did not take it.", was_sent=True)
