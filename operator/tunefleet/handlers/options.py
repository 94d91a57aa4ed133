"""How the operator process was started."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """The command line; see `main`."""

    namespace: str
    watch_namespaces: tuple[str, ...]
    runtime_image: str
    image_pull_policy: str
    lease_seconds: float
    admin_port: int

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Namespaces to watch, none for all. Our own is among them: the heartbeat is seen there."""
        return tuple(sorted({*self.watch_namespaces, self.namespace})) if self.watch_namespaces else ()
