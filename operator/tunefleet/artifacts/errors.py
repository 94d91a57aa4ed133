"""The one error of this package: a reason for machines, a sentence for people, and whether waiting may help."""

from tunefleet.api.common import MAX_MESSAGE
from tunefleet.api.conditions import Reason


class ArtifactError(Exception):
    """A version cannot be read. The message never holds a credential: it is shown in statuses and Events."""

    def __init__(self, reason: Reason, message: str, *, transient: bool = False) -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.reason = reason
        self.message = message[:MAX_MESSAGE]
        self.transient = transient
        """True: another try, without a change of the spec, may succeed."""


def unreadable(message: str) -> ArtifactError:
    """The source failed; another try may succeed."""
    return ArtifactError(Reason.SOURCE_UNREADABLE, message, transient=True)


def not_found(message: str) -> ArtifactError:
    """Nothing is there. Someone may be uploading, so waiting may help."""
    return ArtifactError(Reason.SOURCE_NOT_FOUND, message, transient=True)


def denied(message: str) -> ArtifactError:
    """The source refused the credentials. A Secret may be mended without a change of the spec."""
    return ArtifactError(Reason.ACCESS_DENIED, message, transient=True)
