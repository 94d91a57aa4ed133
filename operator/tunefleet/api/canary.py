"""Canary: how a new version of an adapter gets its traffic in steps, what is measured, and where it stands."""

from typing import Annotated, Literal

from pydantic import Field

from .common import VersionNumber
from .schema import Schema
from .validation import Rule

MAX_STEPS = 16


class CanaryStep(Schema):
    """A share of the requests, and how long it stays."""

    weight: Annotated[int, Field(ge=1, le=99)]
    """Share of the requests that the new version gets, in percent."""
    duration_seconds: Annotated[int, Field(ge=1, le=604800)] | None = None
    """Seconds until the next step. When absent, in the last step, it stays until skipStepsFor names the version."""


class CanaryAnalysis(Schema):
    """What the new version must keep to. Without it only time passes."""

    min_requests: Annotated[int, Field(ge=10, le=1_000_000)] = 50
    """Requests that the new version must have had in a step before it is judged; a step waits for them."""
    max_error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    """Highest share of failed requests (5xx and broken streams), 0.01 being one in a hundred. When absent it is not
    judged."""
    max_time_to_first_token_ratio: Annotated[float, Field(ge=1, le=100)] | None = None
    """Highest ratio of the new version's median time to first token to the serving one's. When absent it is not
    judged."""


class AdapterRollout(Schema):
    """How a new active version takes the traffic over. Without steps it does so at once."""

    rules = (
        Rule(
            "!has(self.steps) || self.steps.map(s, s.weight).isSorted()",
            "the weights of steps must not fall: to send less traffic to a version, set activeVersion back",
            field_path=".steps",
        ),
        Rule(
            "!has(self.steps) || self.steps.all(s, has(s.durationSeconds) || s == self.steps[size(self.steps) - 1])",
            "only the last step may be without durationSeconds: it stays until skipStepsFor names the version, "
            "and none follows",
            field_path=".steps",
        ),
    )

    steps: Annotated[tuple[CanaryStep, ...], Field(max_length=MAX_STEPS)] = ()
    """Shares of the requests, one after the other; after the last one it gets all."""
    analysis: CanaryAnalysis | None = None
    """What the new version must keep to, or it is taken back."""
    paused: bool = False
    """Whether the present step stays as it is. Its time and its analysis go on: a bad version is taken back all the
    same, and a step whose time is over ends when this is false again."""
    skip_steps_for: VersionNumber | None = None
    """A version that shall have all requests at once, whatever steps are left and whatever analysis said of it."""


class CanarySample(Schema):
    """What was counted of one version since the step began."""

    requests: int = 0
    """Requests that ended."""
    errors: int = 0
    """Of these, answered with 5xx or broken off."""
    median_time_to_first_token_seconds: float | None = None
    """Estimated from a histogram; absent while no streamed answer was counted."""


CanaryState = Literal["Progressing", "Paused", "Waiting", "RolledBack"]


class CanaryStatus(Schema):
    """Where a canary stands."""

    version: int
    """The new version."""
    state: CanaryState
    """Progressing through its steps; Paused at one; Waiting for an engine pod that holds it; or RolledBack: taken back
    until activeVersion, rollout.steps or rollout.analysis change."""
    step: int
    """Number of the step, from 0."""
    weight: int
    """Share of the requests that it gets, in percent; 0 while Waiting and when it was taken back."""
    since: str
    """When the step began, or when it was taken back."""
    rollout: str
    """Digest of rollout.steps and rollout.analysis that this follows; when it changes the canary begins anew, also that
    of a version that was taken back."""
    canary: CanarySample | None = None
    """Of the new version, when it was last looked at in this step."""
    stable: CanarySample | None = None
    """Of the serving version in the same time."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """What was found, with the figures that decided."""
