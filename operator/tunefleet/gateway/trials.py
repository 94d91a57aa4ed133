"""What is counted of a canary: the requests for its name, by the version that they were drawn for.

Requests that ask for an exact version say nothing about the split and are not counted. A step of the canary has its
own counts: another `since` begins at nothing, and requests that began before it count nowhere.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable

from tunefleet.plan.demand import FIRST_TOKEN_BOUNDS, Trial, VersionSample
from tunefleet.plan.facts import Key
from tunefleet.plan.route_table import Route, TrialTerms

STREAMED_ERROR = b'data: {"error"'
"""How vLLM reports an error once its status line, 200, has gone. Inside of JSON strings the quotes are escaped."""


class Sample:
    """Counts of one version."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.first_token = [0] * (len(FIRST_TOKEN_BOUNDS) + 1)

    def ended(self, *, failed: bool) -> None:
        """A request is over, and did not go because its client left before the answer."""
        self.requests += 1
        self.errors += failed

    def answered_after(self, seconds: float) -> None:
        """A stream's first token came."""
        self.first_token[bisect_left(FIRST_TOKEN_BOUNDS, seconds)] += 1


class Step:
    """One step of one canary."""

    def __init__(self, adapter: Key, terms: TrialTerms, on_look: Callable[[], None]) -> None:
        """`on_look` is called when the new version has minRequests requests, twice as many, four times, and so on."""
        self.adapter = adapter
        self.terms = terms
        self._on_look = on_look
        self._next_look = terms.min_requests
        self._samples: dict[str, Sample] = {}

    def sample(self, engine_name: str) -> Sample:
        """The counts of one version."""
        return self._samples.setdefault(engine_name, Sample())

    def ended(self, engine_name: str, *, failed: bool) -> None:
        """A request that was drawn for this version is over."""
        sample = self.sample(engine_name)
        sample.ended(failed=failed)
        if engine_name == self.terms.engine_name and sample.requests == self._next_look:
            self._next_look *= 2
            self._on_look()

    def report(self) -> Trial:
        """As gateways tell it."""
        return Trial(
            namespace=self.adapter.namespace,
            name=self.adapter.name,
            since=self.terms.since,
            versions=tuple(
                VersionSample(
                    engine_name=name,
                    requests=sample.requests,
                    errors=sample.errors,
                    first_token=tuple(sample.first_token),
                )
                for name, sample in sorted(self._samples.items())
            ),
        )


class Trials:
    """The present step of every canary."""

    def __init__(self, on_look: Callable[[], None]) -> None:
        self._on_look = on_look
        self._steps: dict[str, Step] = {}

    def follow(self, routes: Iterable[Route]) -> None:
        """Count for exactly these routes; counts go on where the step is the same."""
        self._steps = {
            route.served_name: self._step(route, route.adapter, route.trial)
            for route in routes
            if route.adapter is not None and route.trial is not None
        }

    def of(self, served_name: str) -> Step | None:
        """The step of the canary behind a name."""
        return self._steps.get(served_name)

    def report(self) -> tuple[Trial, ...]:
        """All of them."""
        return tuple(step.report() for _, step in sorted(self._steps.items()))

    def _step(self, route: Route, adapter: Key, terms: TrialTerms) -> Step:
        known = self._steps.get(route.served_name)
        if known is None or (known.adapter, known.terms) != (adapter, terms):
            known = Step(adapter, terms, self._on_look)
        for target in route.targets:
            known.sample(target.engine_name)
        return known
