"""Which pod gets a request: of those that hold the version, one that is healthy, by prompt prefix and load.

Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA
2018): each request has a point, each pod scores the point, and the pod with the highest score gets it (rendezvous
hashing), so that prompts that begin alike meet the same prefix cache. A pod that has more than LOAD_FACTOR times the
average in flight gets no more: then the least busy one does, and of those that are equally busy the one with the higher
score. Counts in flight are this process's own.

Pods that are out (health.py) are no candidates. When all are out, those that gave bad answers are better than an error;
those that take no connection are not.
"""

from collections.abc import Callable, Collection, Sequence
from typing import final

from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Backend, RouteTable, Target

from .health import BUSY, REFUSED, Health
from .pods import Pod, engine_lines
from .series import Series

_PRIME = 2**31 - 1


@final
class Lane:
    """One version with the pods that hold it, for as long as the table stays."""

    def __init__(self, engine_name: str, series: Series, pods: tuple[Pod, ...], fallback: str = "") -> None:
        self.engine_name = engine_name
        self.name = b'"%b"' % engine_name.encode()
        """As JSON, quotes included."""
        self.fallback = fallback
        """Whose weights answer instead of those that were asked for: `endpoint/NAME`, `external/NAME`, or empty."""
        self.answer_lines = f"x-tunefleet-model: {engine_name}\r\n".encode()
        """Header lines that say what answered."""
        if fallback:
            self.answer_lines += f"x-tunefleet-fallback: {fallback}\r\n".encode()
        self.series = series
        self.pods = pods

    def choose(self, point: int, now: float, avoid: Collection[Key] = (), alive: bool = False) -> Pod | None:
        """The pod for a request; None when there is none. With one pod `point` says nothing.

        None of the pods of `avoid`; with `alive` none that took no connection and gave no sign of life since.
        """
        pods = self.pods
        plain = not avoid and not alive
        if plain:
            for pod in pods:
                if not pod.health.clean:
                    plain = False
                    break
        if plain:
            return pick(pods, point)
        return self._choose_healthy(point, now, avoid, alive)

    def started(self, pod: Pod) -> None:
        """A request goes there."""
        pod.in_flight += 1

    def finished(self, pod: Pod) -> None:
        """A request that `started` is over, or goes elsewhere."""
        pod.in_flight -= 1
        if pod.in_flight == 0 and not pod.health.clean:
            pod.health.idle()

    def _choose_healthy(self, point: int, now: float, avoid: Collection[Key], alive: bool) -> Pod | None:
        allowed = [pod for pod in self.pods if pod.key not in avoid]
        good = [pod for pod in allowed if pod.health.open(now) and not (alive and pod.health.why == REFUSED)]
        chosen = pick(good or least_bad(allowed), point)
        if chosen is not None:
            chosen.health.chosen(now)
        return chosen


def pick(pods: Sequence[Pod], point: int) -> Pod | None:
    """The pod with the highest score for the point, unless it is too busy; then the least busy one."""
    count = len(pods)
    if count < 2:
        return pods[0] if count else None
    first = least = pods[0]
    highest = least_score = -1
    total = 0
    fewest = first.in_flight
    for pod in pods:
        score = (pod.factor * point + pod.shift) % _PRIME
        load = pod.in_flight
        total += load
        if score > highest:
            highest = score
            first = pod
        if load < fewest or (load == fewest and score > least_score):
            fewest = load
            least = pod
            least_score = score
    # in_flight + 1 <= ceil(1.25 * (total + 1) / count), in whole numbers
    return first if 4 * count * first.in_flight < 5 * (total + 1) else least


def least_bad(pods: Sequence[Pod]) -> list[Pod]:
    """Of pods that are all out: those that asked for a pause, else those that failed."""
    busy = [pod for pod in pods if pod.health.why == BUSY]
    return busy or [pod for pod in pods if pod.health.why != REFUSED]


@final
class Balancer:
    """The pods that are known, and the lanes of the present table."""

    def __init__(
        self,
        authorization: Callable[[Backend], bytes],
        series: Callable[[str], Series],
        ejections: dict[str, int],
    ) -> None:
        """`authorization`: the header line for an engine; `series`: the counts of an engine name; `ejections`: by
        reason, counted up."""
        self._authorization = authorization
        self._series = series
        self._ejections = ejections
        self._pods: dict[Key, Pod] = {}
        self._leaving: list[Pod] = []
        self._lanes: dict[int, Lane] = {}
        self._targets: list[Target] = []
        """Keeps alive what the keys of `_lanes` are the ids of."""

    def lane(self, target: Target) -> Lane:
        """The target's lane, the same one until the next table."""
        found = self._lanes.get(id(target))
        if found is None:
            pods = tuple([self._pod(backend) for backend in target.backends])
            found = Lane(target.engine_name, self._series(target.engine_name), pods)
            self._lanes[id(target)] = found
            self._targets.append(target)
        return found

    def pod(self, key: Key) -> Pod | None:
        """The pod of this name."""
        return self._pods.get(key)

    def pods(self) -> list[Pod]:
        """All of them, and those that left the table with connections or requests."""
        return [*self._pods.values(), *self._leaving]

    def follow(self, table: RouteTable) -> None:
        """Lanes are made anew when they are asked for; pods stay as long as the table has their address."""
        self._lanes.clear()
        self._targets.clear()
        known = {backend.pod: backend for backend in table.backends}
        for key in [key for key in self._pods if key not in known]:
            self._leaving.append(self._pods.pop(key))
        for backend in table.backends:
            self._pod(backend)
        self._leaving = [pod for pod in self._leaving if pod.idle or pod.in_flight]

    def forgive(self, key: Key) -> bool:
        """This pod gave a sign of life. True when it was waited for."""
        pod = self._pods.get(key)
        return pod is not None and pod.health.alive()

    def _pod(self, backend: Backend) -> Pod:
        known = self._pods.get(backend.pod)
        if known is not None and (known.host, known.port) == (backend.ip, backend.port):
            if known.backend != backend:
                self._dress(known, backend)
            return known
        if known is not None:
            self._leaving.append(known)
        made = Pod(backend.pod, backend.ip, backend.port, Health(self._ejections))
        self._dress(made, backend)
        self._pods[backend.pod] = made
        return made

    def _dress(self, pod: Pod, backend: Backend) -> None:
        pod.backend = backend
        pod.authorization = self._authorization(backend)
        pod.answer_lines = engine_lines(backend)
