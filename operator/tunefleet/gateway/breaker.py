"""The circuit breaker of one endpoint: whether its engines are worth asking while somebody else can answer."""

from typing import final


@final
class Breaker:
    """Closed, open or half-open. Times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._open_until: float = 0.0

    def note(self, ok: bool, now: float, name: str = "") -> None:
        """A request for the version `name` is over; `ok` unless its engine is to blame."""

    def open(self, now: float) -> bool:
        """Whether a request that could go elsewhere should."""
        return now < self._open_until
