"""The three containers of an engine pod, all from one image: agent, fetch, engine."""

from tunefleet.api.names import AGENT_PORT, ENGINE_PORT, child_name, digest_hex
from tunefleet.engine.environment import API_KEY, engine_environment
from tunefleet.engine.flags import EngineSettings, arithmetic_options, engine_rank, serve_arguments
from tunefleet.plan.agents import ENGINE_SUFFIX
from tunefleet.plan.child_failures import FETCH_CONTAINER
from tunefleet.plan.credentials import AGENT_READ_TOKEN, AGENT_WRITE_TOKEN, ENGINE_KEY
from tunefleet.plan.decision import RevisionWorkload
from tunefleet.plan.revision import RevisionParameters

from .engine_volumes import ADAPTERS_BYTES, MODELS, agent_mounts, engine_mounts, fetch_mounts
from .metadata import Json
from .pod_security import container_security, home_environment

ENGINE_CONTAINER = "engine"
AGENT_CONTAINER = "agent"

PRE_STOP_SECONDS = 5
"""The engine goes on for so long after its pod was asked to go: gateways learn of it within a watch's delay, and an
engine that drains refuses new requests with 500."""

START_SECONDS = 3600
"""Weights of hundreds of GB are read from disk, and graphs are captured, before the engine answers."""


def fetch_container(workload: RevisionWorkload) -> Json:
    """Init: brings the base's weights, verified, onto the pod's disk, while the agent beside tells how far it is. Its
    last words are REASON: SENTENCE."""
    fixed = workload.parameters.fixed
    arguments = ["--uri", fixed.base_uri, "--digest", fixed.base_digest, "--to", model_path(workload.parameters)]
    container = {
        "name": FETCH_CONTAINER,
        **_image(workload.parameters),
        "command": ["tunefleet-agent", "fetch"],
        "args": arguments,
        "env": [*home_environment(), {"name": "HF_HOME", "value": "/tmp/hf"}],  # noqa: S108
        "volumeMounts": fetch_mounts(workload.parameters.claims),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }
    if fixed.base_secret:
        container["envFrom"] = [{"secretRef": {"name": fixed.base_secret}}]
    return container


def agent_container(workload: RevisionWorkload) -> Json:
    """Native sidecar: starts before everything else and ends after it. The pod is ready when the agent says so."""
    return {
        "name": AGENT_CONTAINER,
        **_image(workload.parameters),
        "restartPolicy": "Always",
        "command": ["tunefleet-agent", "run"],
        "env": _agent_environment(workload),
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "volumeMounts": agent_mounts(workload.parameters.claims),
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        "startupProbe": _probe("/healthz", "agent", period=1, failures=60),
        "livenessProbe": _probe("/healthz", "agent", period=10, failures=6, timeout=5),
        "readinessProbe": _probe("/readyz", "agent", period=1, failures=3, timeout=5),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }


def engine_container(workload: RevisionWorkload) -> Json:
    """vLLM."""
    parameters = workload.parameters
    return {
        "name": ENGINE_CONTAINER,
        **_image(parameters),
        "command": ["vllm"],
        "args": list(serve_arguments(engine_settings(parameters))),
        "env": _engine_environment(workload),
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        "volumeMounts": engine_mounts(),
        "resources": _resources(parameters),
        "startupProbe": _probe("/health", "http", period=1, failures=START_SECONDS, timeout=5),
        "livenessProbe": _probe("/health", "http", period=10, failures=6, timeout=10),
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
    }


def engine_settings(parameters: RevisionParameters) -> EngineSettings:
    """A revision's parameters in vLLM's terms; any rank is rounded up to one that vLLM knows."""
    fixed, engine = parameters.fixed, parameters.fixed.engine
    return EngineSettings(
        model_path=model_path(parameters),
        served_name=fixed.engine_name,
        slots=parameters.slots,
        max_rank=engine_rank(parameters.max_rank),
        device=parameters.device,
        tensor=parameters.tensor,
        pipeline=fixed.pipeline,
        dtype=engine.dtype,
        quantization=engine.quantization,
        max_model_length=engine.max_model_length,
        max_concurrent_requests=engine.max_concurrent_requests,
        prefix_caching=engine.prefix_caching,
        kv_cache_dtype=engine.kv_cache_dtype,
        extra_args=engine.extra_args,
    )


def model_path(parameters: RevisionParameters) -> str:
    """Directory of the base's weights, named by their digest."""
    return f"{MODELS}/{digest_hex(parameters.fixed.base_digest)}"


def _agent_environment(workload: RevisionWorkload) -> list[Json]:
    parameters = workload.parameters
    plain = {
        "TUNEFLEET_ENGINE_URL": f"http://127.0.0.1:{ENGINE_PORT}",
        "TUNEFLEET_BASE_ENGINE_NAME": parameters.fixed.engine_name,
        "TUNEFLEET_BASE_PATH": model_path(parameters),
        "TUNEFLEET_SLOTS": str(parameters.slots),
        "TUNEFLEET_MAX_RANK": str(engine_rank(parameters.max_rank)),
        "TUNEFLEET_DEVICE": parameters.device,
        "TUNEFLEET_ENGINE_OPTIONS": arithmetic_options(engine_settings(parameters)),
        "TUNEFLEET_ADAPTERS_BYTES": str(ADAPTERS_BYTES),
        "HF_HOME": "/tmp/hf",  # noqa: S108
    }
    return [
        *home_environment(),
        *({"name": name, "value": value} for name, value in plain.items()),
        _from_secret(API_KEY, workload, ENGINE_KEY),
        _from_secret("TUNEFLEET_AGENT_WRITE_TOKEN", workload, AGENT_WRITE_TOKEN),
        _from_secret("TUNEFLEET_AGENT_READ_TOKEN", workload, AGENT_READ_TOKEN),
        _from_field("POD_NAMESPACE", "metadata.namespace"),
        _from_field("POD_NAME", "metadata.name"),
        _from_field("NODE_NAME", "spec.nodeName"),
    ]


def _engine_environment(workload: RevisionWorkload) -> list[Json]:
    variables = engine_environment(workload.parameters.device)
    return [
        *home_environment(),
        *({"name": name, "value": value} for name, value in variables.items()),
        _from_secret(API_KEY, workload, ENGINE_KEY),
    ]


def _resources(parameters: RevisionParameters) -> Json:
    resources: Json = {"requests": {"cpu": "250m", "memory": "1Gi"}}
    if parameters.accelerators:
        count = str(parameters.accelerators)
        resources["requests"][parameters.fixed.resource_name] = count
        resources["limits"] = {parameters.fixed.resource_name: count}
    return resources


def _image(parameters: RevisionParameters) -> Json:
    return {"image": parameters.fixed.image, "imagePullPolicy": parameters.fixed.image_pull_policy}


def _probe(path: str, port: str, *, period: int, failures: int, timeout: int = 1) -> Json:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def _from_secret(variable: str, workload: RevisionWorkload, key: str) -> Json:
    name = child_name(workload.owner.ref.name, ENGINE_SUFFIX)
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _from_field(variable: str, path: str) -> Json:
    return {"name": variable, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}
