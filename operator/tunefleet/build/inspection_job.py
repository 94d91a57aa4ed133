"""A Job that reads one version's files and leaves what it found as its pod's last words."""

from tunefleet.api.names import LABEL_INSPECTED_KIND, LABEL_INSPECTED_NAME, LABEL_INSPECTED_VERSION
from tunefleet.plan.decision import InspectionJob
from tunefleet.plan.versions import claim_of

from .engine_volumes import source_mounts, source_volumes
from .metadata import INSPECTION, Json, labels, metadata
from .pod_security import container_security, home_environment, pod_security

BACKOFF_LIMIT = 2
"""A refusal is an answer and exits with 0; only what may pass is tried again."""
DEADLINE_SECONDS = 3600
KEPT_SECONDS = 600
"""An ended Job can be looked at for so long; its answer is in the status long before."""


def inspection_job(job: InspectionJob) -> Json:
    """It runs under the namespace's default ServiceAccount, without a token."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(job.owner, job.name, INSPECTION, _identity(job)),
        "spec": {
            "backoffLimit": BACKOFF_LIMIT,
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": {**labels(INSPECTION), **_identity(job)}}, "spec": _pod(job)},
        },
    }


def _pod(job: InspectionJob) -> Json:
    claim = claim_of(job.uri)
    claims = [claim] if claim else []
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": pod_security(),
        "containers": [_container(job, claims)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, *source_volumes(claims)],
    }


def _container(job: InspectionJob, claims: list[str]) -> Json:
    digest = ["--digest", job.digest] if job.digest else []
    container = {
        "name": "inspect",
        "image": job.image,
        "imagePullPolicy": job.image_pull_policy,
        "command": ["tunefleet-agent", "inspect"],
        "args": ["--kind", job.inspected, "--uri", job.uri, *digest],
        "env": [*home_environment(), {"name": "HF_HOME", "value": "/tmp/hf"}],  # noqa: S108
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *source_mounts(claims)],  # noqa: S108
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }
    if job.secret_name:
        container["envFrom"] = [{"secretRef": {"name": job.secret_name}}]
    return container


def _identity(job: InspectionJob) -> dict[str, str]:
    return {
        LABEL_INSPECTED_KIND: job.owner.ref.kind,
        LABEL_INSPECTED_NAME: job.owner.ref.name,
        LABEL_INSPECTED_VERSION: str(job.version),
    }
