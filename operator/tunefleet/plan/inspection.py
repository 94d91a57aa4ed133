"""Reading one version's files: by an agent that runs already, else by a Job.

An agent costs no pod start, and what it fetched is there when the version is loaded; so a version waits for an agent
that is on its way, but not for long. Every outcome is taken from what stands (a Job, its pod's last words) or can be
asked for again (an agent's answer), so a forgotten answer costs a second question and nothing else.

| What stands | What happens |
|---|---|
| a Job that ended with an answer | the answer; read again later when the cause can be mended outside |
| a Job that ended without one | JobFailed; deleted and tried again after JOB_RETRY_SECONDS |
| either of these two, and an agent can be asked | the agent, as below |
| a Job that runs | wait; what keeps its pod from starting is lifted |
| an agent's answer | the answer; asked again after RETRY_SECONDS |
| an agent that was asked | wait |
| an agent that failed to answer | a Job |
| an agent that can be asked | ask |
| an agent on its way | wait, at most AGENT_PATIENCE_SECONDS |
| nothing | a Job |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectedKind, InspectionResult
from tunefleet.api.names import child_name, short_hash

from .child_failures import first_failure
from .decision import InspectionJob, Owner
from .facts import Facts, Inspection, InspectionRequest, Key, Manifest, ObjectRef
from .finding import Finding
from .observed import controller_uid
from .plan import Deletion
from .pods import Pod, pods_by_label
from .times import seconds_since
from .versions import MENDABLE

RETRY_SECONDS = 60
"""Between two questions to an agent about what could not be read."""
JOB_RETRY_SECONDS = 300
"""Between two Jobs, each of which tries three times: a pod start every five minutes, as the kubelet's longest pause."""
AGENT_PATIENCE_SECONDS = 120
"""An endpoint this young is expected to bring an agent soon."""

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"


@dataclass(frozen=True)
class Subject:
    """One version whose files have to be read."""

    owner: Owner
    kind: InspectedKind
    version: int
    uri: str
    digest: str | None
    secret_name: str | None

    @property
    def request(self) -> InspectionRequest:
        """The question for an agent."""
        return InspectionRequest(self.owner.ref.namespace, self.uri, self.secret_name, self.digest)

    @property
    def job_name(self) -> str:
        """One Job for one question, so that a version that is added again is read again."""
        asked = "|".join((self.owner.uid, self.uri, self.digest or "", self.secret_name or ""))
        return child_name("inspect", self.owner.ref.name, f"v{self.version}", short_hash(asked))


@dataclass(frozen=True)
class Agents:
    """Agents that could be asked."""

    able: tuple[Key, ...] = ()
    """Pods whose agent answers and can reach the files."""
    expected_within: float = 0.0
    """Seconds that an agent on its way may still take; 0: none is."""


@dataclass(frozen=True)
class Reading:
    """How far the reading is, and what carries it on."""

    result: InspectionResult | None = None
    waiting: Finding | None = None
    """Set exactly when there is no result."""
    job: InspectionJob | None = None
    delete: Deletion | None = None
    ask: Key | None = None
    """Pod whose agent is asked now."""
    requeue_after: float | None = None


def read_version(facts: Facts, subject: Subject, agents: Agents, now: datetime) -> Reading:
    """The next step of reading one version."""
    job = facts.children.get(ObjectRef("Job", subject.owner.ref.namespace, subject.job_name))
    if job is not None and controller_uid(job) == subject.owner.uid:
        reading = _follow_job(facts, subject, job, now)
        if not (agents.able and _in_vain(reading)):
            return reading
    # Agents read adapters. What one of them said of an adapter at this place says nothing of a base there.
    asked = facts.inspections.get(subject.request) if subject.kind == "adapter" else None
    if asked is not None and not _stale(asked, now):
        return _follow_agent(facts, subject, asked)
    if agents.able:
        return Reading(
            ask=_one_of(agents.able, subject),
            waiting=Finding(Reason.INSPECTING, f"version {subject.version} is being read"),
        )
    if agents.expected_within > 0:
        return Reading(
            waiting=Finding(Reason.INSPECTING, f"version {subject.version} waits for an engine pod to read it"),
            requeue_after=agents.expected_within,
        )
    return _start_job(facts, subject)


def _in_vain(reading: Reading) -> bool:
    """The Job ended and is to be tried again: an agent that came meanwhile is quicker."""
    return reading.delete is not None or reading.requeue_after is not None


def _one_of(pods: Sequence[Key], subject: Subject) -> Key:
    """The same pod for the same question, different ones for different questions."""
    return sorted(pods)[int(short_hash(subject.job_name), 16) % len(pods)]


def may_change(result: InspectionResult) -> bool:
    """Another reading may find something else without any change of the spec."""
    return result.transient or result.reason in MENDABLE


def _stale(asked: Inspection, now: datetime) -> bool:
    return asked.finished is not None and (now - asked.finished).total_seconds() >= RETRY_SECONDS


def _follow_agent(facts: Facts, subject: Subject, asked: Inspection) -> Reading:
    if asked.error:
        return _start_job(facts, subject)
    if asked.result is None:
        return Reading(waiting=Finding(Reason.INSPECTING, f"version {subject.version} is being read"))
    return _answered(asked.result, RETRY_SECONDS)


def _answered(result: InspectionResult, retry: float) -> Reading:
    return Reading(result=result, requeue_after=retry if may_change(result) else None)


def _start_job(facts: Facts, subject: Subject) -> Reading:
    job = InspectionJob(
        owner=subject.owner,
        name=subject.job_name,
        inspected=subject.kind,
        version=subject.version,
        uri=subject.uri,
        digest=subject.digest,
        secret_name=subject.secret_name,
        image=facts.settings.runtime_image,
        image_pull_policy=facts.settings.image_pull_policy,
    )
    return Reading(job=job, waiting=_by_a_job(subject))


def _by_a_job(subject: Subject) -> Finding:
    return Finding(Reason.INSPECTING, f"version {subject.version} is being read by a Job")


def _follow_job(facts: Facts, subject: Subject, job: Manifest, now: datetime) -> Reading:
    if job["metadata"].get("deletionTimestamp"):
        return Reading(waiting=Finding(Reason.INSPECTING, f"version {subject.version} is about to be read again"))
    pods = _pods(facts, subject, job)
    ended = _ended_at(job)
    if ended is None:
        return _running(subject, pods)
    result = _result(pods)
    again = max(0.0, JOB_RETRY_SECONDS - seconds_since(ended, now))
    if result is not None and not may_change(result):
        return Reading(result=result)
    delete = Deletion(_job_ref(subject), job["metadata"]["uid"]) if again == 0 else None
    if result is not None:
        return Reading(result=result, delete=delete, requeue_after=again or None)
    return Reading(waiting=_without_result(subject, pods), delete=delete, requeue_after=again or None)


def _pods(facts: Facts, subject: Subject, job: Manifest) -> Sequence[Pod]:
    """Of this very Job: those of a former one of the same name may not be collected yet."""
    named = pods_by_label(facts, subject.owner.ref.namespace, JOB_NAME_LABEL, subject.job_name)
    return [pod for pod in named if controller_uid(pod.manifest) == job["metadata"]["uid"]]


def _running(subject: Subject, pods: Sequence[Pod]) -> Reading:
    """What a failed try found is told while the Job tries again."""
    found = _result(pods)
    if found is not None:
        return Reading(result=found)
    failure = first_failure(pod for pod in pods if pod.alive)
    return Reading(waiting=failure or _by_a_job(subject))


def _ended_at(job: Manifest) -> str | None:
    """When the Job ended, well or badly."""
    conditions = job.get("status", {}).get("conditions") or ()
    ended = (c for c in conditions if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    return next((str(c["lastTransitionTime"]) for c in ended), None)


def _result(pods: Sequence[Pod]) -> InspectionResult | None:
    for message in _last_words(pods):
        try:
            return InspectionResult.model_validate_json(message)
        except ValidationError:
            continue
    return None


def _last_words(pods: Sequence[Pod]) -> list[str]:
    """Termination messages, the latest pod first."""
    latest_first = sorted(pods, key=lambda pod: (pod.created, pod.key), reverse=True)
    ends = (s.get("state", {}).get("terminated") or {} for pod in latest_first for s in pod.container_statuses())
    return [str(end["message"]) for end in ends if end.get("message")]


def _without_result(subject: Subject, pods: Sequence[Pod]) -> Finding:
    words = next(iter(_last_words(pods)), "").strip()[-400:]
    said = f": {words}" if words else "; see the log of its pod"
    return Finding(Reason.JOB_FAILED, f"Job {subject.job_name} ended without an answer{said}")


def _job_ref(subject: Subject) -> ObjectRef:
    return ObjectRef("Job", subject.owner.ref.namespace, subject.job_name)
