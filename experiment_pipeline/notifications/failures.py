"""Failed attempts to send a notification."""


class SendFailed(Exception):
    """An attempt failed; the message is for people and holds no secret.

    Attributes:
        was_sent: whether anything may have left this machine.
    """

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent
