"""What a canary says of itself, in one sentence for people."""

from tunefleet.api.canary import AdapterRollout, CanarySample, CanaryStatus


def canary_message(canary: CanaryStatus, rollout: AdapterRollout, *, overdue: bool) -> str:
    """Of a canary that stands. `overdue`: the step's time is over, and something else is waited for."""
    step = f"step {canary.step + 1} of {len(rollout.steps)}"
    if canary.state == "Waiting":
        return (
            f"version {canary.version} gets nothing, because no engine pod that answers holds it; "
            f"{step} begins anew when one does"
        )
    share = f"version {canary.version} gets {canary.weight} % since {canary.since}, {step}"
    return "; ".join(part for part in (share, _figures(canary, rollout), _stays(canary, rollout, overdue)) if part)


def taken_back(canary: CanaryStatus, serving: int | None) -> str:
    """Of one that was worse, with what can be done."""
    return (
        f"version {canary.version} was taken back in step {canary.step + 1}, and version {serving} answers: "
        f"{canary.message}. Set activeVersion to {serving}, or to a new version; a change of rollout.steps or "
        f"rollout.analysis tries it again, and rollout.skipStepsFor: {canary.version} has it all the same"
    )


def sample_text(sample: CanarySample) -> str:
    """`64 requests, 2 errors, median time to first token 0.12 s`."""
    text = f"{sample.requests} requests, {sample.errors} error{'s' if sample.errors != 1 else ''}"
    median = sample.median_time_to_first_token_seconds
    return text if median is None else f"{text}, median time to first token {median:g} s"


def _figures(canary: CanaryStatus, rollout: AdapterRollout) -> str:
    if rollout.analysis is None:
        return ""
    if canary.canary is None or canary.stable is None:
        return f"it is looked at after {rollout.analysis.min_requests} requests"
    return f"at the last look {sample_text(canary.canary)}; the serving version {sample_text(canary.stable)}"


def _stays(canary: CanaryStatus, rollout: AdapterRollout, overdue: bool) -> str:
    if rollout.paused:
        return "paused by spec.rollout.paused"
    if canary.state == "Paused":
        return f"it stays so until spec.rollout.skipStepsFor is {canary.version}"
    if not overdue:
        return ""
    needed = f"{rollout.analysis.min_requests} requests and " if rollout.analysis else ""
    return f"the step's time is over, and it waits for {needed}the version on every engine pod"
