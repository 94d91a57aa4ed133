"""Which API server, as whom, and in which namespace: the words of kubectl."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What the command line says of it; None: kubectl's default."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None

    def over(self, other: "Access") -> "Access":
        """This, and where it says nothing, the other."""
        return Access(
            self.kubeconfig or other.kubeconfig, self.context or other.context, self.namespace or other.namespace
        )
