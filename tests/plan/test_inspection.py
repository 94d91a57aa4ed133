"""Reading a version: by an agent, by a Job, and what happens when neither can."""

from typing import Any

from tests.plan.fleet import (
    NAMESPACE,
    Q_PROJ,
    V_PROJ,
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    condition,
    endpoint,
    lora_adapter,
    standing,
)
from tests.plan.simulation import Cluster
from tunefleet.api.conditions import Reason
from tunefleet.api.inspection import InspectionResult
from tunefleet.plan.facts import Inspection, InspectionRequest, Key, ObjectRef

ADAPTER = ObjectRef("LoRAAdapter", NAMESPACE, "german")
BASE = ObjectRef("BaseModel", NAMESPACE, "tiny")


def cluster_of(*, with_endpoint: bool = True) -> Cluster:
    cluster = Cluster(
        files={"s3://models/tiny/1": base_files("base 1"), "s3://adapters/german/1": adapter_files("german 1")}
    )
    cluster.add(base_model())
    if with_endpoint:
        cluster.add(endpoint())
    cluster.settle()
    return cluster


def jobs(cluster: Cluster) -> list[ObjectRef]:
    return [ref for ref in cluster.children if ref.kind == "Job" and "german" in ref.name]


def test_a_running_agent_is_asked_and_no_pod_is_started() -> None:
    cluster = cluster_of()
    cluster.add(lora_adapter("german"))
    plan = cluster.plan(ADAPTER)
    assert dict(plan.inspections) == {InspectionRequest(NAMESPACE, "s3://adapters/german/1"): cluster.engine_pods()[0]}
    cluster.settle()
    assert jobs(cluster) == []
    assert cluster.adapter("german").status.serving_version == 1


def test_a_question_is_not_asked_twice() -> None:
    cluster = cluster_of()
    cluster.add(lora_adapter("german"))
    cluster.execute(cluster.plan(ADAPTER))
    assert cluster.plan(ADAPTER).empty


def test_without_an_endpoint_a_job_reads() -> None:
    cluster = cluster_of(with_endpoint=False)
    cluster.add(lora_adapter("german"))
    cluster.settle()
    assert len(jobs(cluster)) == 1
    entry = cluster.adapter("german").status.versions[0]
    assert entry.accepted
    assert (entry.rank, entry.target_modules) == (8, (Q_PROJ, V_PROJ))


def test_an_endpoint_that_starts_is_waited_for() -> None:
    cluster = cluster_of(with_endpoint=False)
    cluster.nodes_are_full = True
    cluster.add(endpoint(), lora_adapter("german"))
    cluster.settle()
    assert jobs(cluster) == []
    plan = cluster.plan(ADAPTER)
    assert plan.requeue_after is not None
    cluster.settle_for(plan.requeue_after + 1)
    assert len(jobs(cluster)) == 1, "it takes too long: a Job reads"
    assert cluster.adapter("german").status.versions[0].accepted


def test_an_agent_that_does_not_answer_is_replaced_by_a_job() -> None:
    cluster = cluster_of()
    cluster.add(lora_adapter("german"))
    cluster.execute(cluster.plan(ADAPTER))
    cluster.kill_pod(cluster.engine_pods()[0])
    cluster.settle()
    assert len(jobs(cluster)) == 1
    assert cluster.adapter("german").status.serving_version == 1


def test_an_agent_is_asked_only_when_it_may_read_the_secret() -> None:
    cluster = cluster_of()
    cluster.settle_for(600)
    secret = {"uri": "s3://adapters/german/1", "secretRef": {"name": "store"}}
    cluster.add(lora_adapter("german", [adapter_version("german", 1, source=secret)]))
    plan = cluster.plan(ADAPTER)
    assert not plan.inspections
    assert not plan.apply, "no Job: the agents' Role is about to be widened"
    cluster.execute(cluster.plan(ObjectRef("InferenceEndpoint", NAMESPACE, "chat")))
    assert [request.secret_name for request in cluster.plan(ADAPTER).inspections] == ["store"]


def broken_job_pod(cluster: Cluster, status: dict[str, Any]) -> None:
    """The Job's pod in a state that a kubelet left it in."""
    cluster.execute(cluster.plan(BASE))
    cluster.advance()
    key = next(key for key in cluster.pods if key.name.startswith("inspect"))
    cluster.pods[key] = {**cluster.pods[key], "status": {"phase": "Pending", **status}}


def test_what_keeps_a_job_from_starting_is_lifted() -> None:
    cluster = Cluster()
    cluster.add(base_model())
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "store" not found'}
    broken_job_pod(cluster, {"containerStatuses": [{"name": "inspect", "state": {"waiting": waiting}}]})
    cluster.execute(cluster.plan(BASE))
    assert standing(cluster.base().status.conditions)["Stalled"] == ("True", "SecretNotFound")
    found = condition(cluster.base().status.conditions, "Ready")
    assert found is not None
    assert "Secret store does not exist" in found.message


def end_job(cluster: Cluster, outcome: str) -> ObjectRef:
    ref = next(ref for ref in cluster.children if ref.kind == "Job")
    ended = {"type": outcome, "status": "True", "lastTransitionTime": "2026-11-21T12:00:00Z"}
    cluster.children[ref] = {**cluster.children[ref], "status": {"conditions": [ended]}}
    return ref


def test_a_job_that_broke_says_so_and_is_tried_again() -> None:
    cluster = Cluster()
    cluster.add(base_model())
    words = {"terminated": {"exitCode": 2, "message": "Traceback: out of disk"}}
    broken_job_pod(cluster, {"phase": "Failed", "containerStatuses": [{"name": "inspect", "state": words}]})
    job = end_job(cluster, "Failed")
    cluster.execute(cluster.plan(BASE))
    assert standing(cluster.base().status.conditions) == {
        "Ready": ("False", "JobFailed"),
        "Reconciling": ("True", "JobFailed"),
    }
    assert "out of disk" in cluster.base().status.conditions[0].message
    assert cluster.plan(BASE).empty
    cluster.files["s3://models/tiny/1"] = base_files("base 1")
    cluster.settle_for(301)
    assert job in cluster.children
    assert standing(cluster.base().status.conditions) == {"Ready": ("True", "Accepted")}


def test_an_agent_that_comes_after_a_job_in_vain_is_asked() -> None:
    cluster = cluster_of(with_endpoint=False)
    files = cluster.files.pop("s3://adapters/german/1")
    cluster.add(lora_adapter("german"))
    cluster.settle()
    assert standing(cluster.adapter("german").status.conditions)["Stalled"] == ("True", "SourceNotFound")
    cluster.files["s3://adapters/german/1"] = files
    cluster.add(endpoint())
    cluster.settle()
    assert cluster.adapter("german").status.serving_version == 1


def test_a_failed_try_is_told_while_the_job_tries_again() -> None:
    cluster = Cluster()
    cluster.add(base_model())
    found = InspectionResult(kind="base", reason=Reason.SOURCE_NOT_FOUND, message="no such bucket", transient=True)
    words = {"terminated": {"exitCode": 1, "message": found.termination_message()}}
    broken_job_pod(cluster, {"phase": "Failed", "containerStatuses": [{"name": "inspect", "state": words}]})
    cluster.execute(cluster.plan(BASE))
    assert standing(cluster.base().status.conditions)["Stalled"] == ("True", "SourceNotFound")


def test_an_ended_job_without_a_pod_is_a_failed_one() -> None:
    cluster = Cluster()
    cluster.add(base_model())
    broken_job_pod(cluster, {})
    end_job(cluster, "Complete")
    cluster.pods.clear()
    cluster.execute(cluster.plan(BASE))
    assert standing(cluster.base().status.conditions)["Ready"] == ("False", "JobFailed")


def test_the_base_has_to_be_accepted_first() -> None:
    cluster = Cluster(files={"s3://adapters/german/1": adapter_files("german 1")})
    cluster.add(base_model(), lora_adapter("german"))
    cluster.execute(cluster.plan(ADAPTER))
    assert jobs(cluster) == []
    assert standing(cluster.adapter("german").status.conditions)["Ready"] == ("Unknown", "WaitingForBase")


def test_answers_of_another_jobs_pod_do_not_count() -> None:
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1")})
    cluster.add(base_model())
    cluster.settle()
    cluster.forget_status(BASE)
    ref = next(ref for ref in cluster.children if ref.kind == "Job")
    del cluster.children[ref]
    cluster.execute(cluster.plan(BASE))
    assert Key(NAMESPACE, f"{ref.name}-pod") in cluster.pods
    assert cluster.plan(BASE).empty


def test_what_an_agent_said_of_an_adapter_says_nothing_of_a_base_at_the_same_place() -> None:
    cluster = cluster_of()
    uri = "s3://models/other/1"
    refused = InspectionResult(kind="adapter", reason=Reason.CONFIG_INVALID, message="adapter_config.json is missing")
    cluster.inspections[InspectionRequest(NAMESPACE, uri)] = Inspection(
        cluster.engine_pods()[0], cluster.now, cluster.now, refused
    )
    cluster.files[uri] = base_files("other")
    cluster.add(base_model("other"))
    cluster.settle()
    assert cluster.base("other").status.versions[0].accepted
