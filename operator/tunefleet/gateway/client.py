"""What an exchange asks of the connection that its request came on."""

from typing import Protocol

from .errors import Refusal


class Client(Protocol):
    """The connection that the request came on."""

    def write(self, data: bytes) -> None:
        """Bytes of the answer."""

    def heard(self) -> None:
        """The engine said something: its time-out starts anew."""

    def waits(self, until: float) -> None:
        """No engine can answer yet: time is up then."""

    def answered(self, *, keep_alive: bool) -> None:
        """The answer is complete; what comes next on the connection may be handled."""

    def refuse(self, refusal: Refusal, *, keep_alive: bool) -> None:
        """Nothing was written yet: answer with an error of our own."""

    def break_off(self, last_words: bytes, *, reset: bool) -> None:
        """Close in the middle of an answer; with a reset where neither framing nor last words say so."""
