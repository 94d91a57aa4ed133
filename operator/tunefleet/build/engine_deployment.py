"""The Deployment of one endpoint revision."""

from tunefleet.api.names import (
    ANNOTATION_ENGINE_NAME,
    LABEL_BASE_MODEL,
    LABEL_BASE_VERSION,
    LABEL_ENDPOINT,
    LABEL_REVISION,
    child_name,
)
from tunefleet.engine.flags import SHUTDOWN_TIMEOUT_SECONDS
from tunefleet.plan.agents import ENGINE_SUFFIX
from tunefleet.plan.canonical import canonical_json
from tunefleet.plan.decision import RevisionWorkload
from tunefleet.plan.parallelism import PRODUCT_LABEL, REGION_LABEL
from tunefleet.plan.revision import ANNOTATION_PARAMETERS, RevisionParameters

from .engine_containers import (
    PRE_STOP_SECONDS,
    START_SECONDS,
    agent_container,
    engine_container,
    fetch_container,
)
from .engine_volumes import volumes
from .metadata import ENGINE, Json, labels, metadata
from .pod_security import pod_security

GRACE_SECONDS = PRE_STOP_SECONDS + SHUTDOWN_TIMEOUT_SECONDS + 30
"""The engine's drain, and half a minute for the agent and the kubelet."""


def engine_deployment(workload: RevisionWorkload) -> Json:
    """A template never changes under its Deployment (see `pod_template`); the strategy matters only where somebody
    altered one: then a new pod comes up before an old one goes."""
    meta = metadata(workload.owner, workload.name, ENGINE, _identity(workload))
    meta["annotations"] = {
        ANNOTATION_ENGINE_NAME: workload.parameters.fixed.engine_name,
        ANNOTATION_PARAMETERS: canonical_json(workload.parameters.dump()),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": workload.replicas,
            "revisionHistoryLimit": 0,
            "progressDeadlineSeconds": START_SECONDS,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": {LABEL_REVISION: workload.name}},
            "template": _pod(workload),
        },
    }


def _pod(workload: RevisionWorkload) -> Json:
    return {
        "metadata": {
            "labels": {**labels(ENGINE), **_identity(workload)},
            "annotations": {ANNOTATION_ENGINE_NAME: workload.parameters.fixed.engine_name},
        },
        "spec": {
            "serviceAccountName": child_name(workload.owner.ref.name, ENGINE_SUFFIX),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # a Service called vllm would set VLLM_PORT=tcp://…, which vLLM misreads
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": pod_security(),
            "initContainers": [agent_container(workload), fetch_container(workload)],
            "containers": [engine_container(workload)],
            "volumes": volumes(workload.parameters.claims, workload.parameters.fixed.model_cache),
            "topologySpreadConstraints": [_spread(workload)],
            **_scheduling(workload.parameters),
        },
    }


def _identity(workload: RevisionWorkload) -> dict[str, str]:
    fixed = workload.parameters.fixed
    return {
        LABEL_ENDPOINT: workload.owner.ref.name,
        LABEL_REVISION: workload.name,
        LABEL_BASE_MODEL: fixed.base_model,
        LABEL_BASE_VERSION: str(fixed.base_version),
    }


def _spread(workload: RevisionWorkload) -> Json:
    """Replicas on different nodes where there are some."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {LABEL_REVISION: workload.name}},
    }


def _scheduling(parameters: RevisionParameters) -> Json:
    scheduling: Json = {}
    if parameters.device == "gpu":
        toleration = {"key": parameters.fixed.resource_name, "operator": "Exists", "effect": "NoSchedule"}
        scheduling["tolerations"] = [toleration]
    wanted = {PRODUCT_LABEL: parameters.products, REGION_LABEL: parameters.fixed.regions}
    expressions = [
        {"key": label, "operator": "In", "values": list(values)} for label, values in wanted.items() if values
    ]
    if expressions:
        required = {"nodeSelectorTerms": [{"matchExpressions": expressions}]}
        scheduling["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    return scheduling
