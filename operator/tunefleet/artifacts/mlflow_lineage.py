"""What an MLflow run tells of a version's origin, as a bounded map of texts without credentials.

| Key | Value |
|---|---|
| `mlflow.model`, `mlflow.version`, `mlflow.alias` | what was asked for, and what it was resolved to |
| `mlflow.run_id`, `mlflow.run_name`, `mlflow.experiment_id`, `mlflow.user` | the run |
| `mlflow.source.git.commit` | the commit that it was trained with |
| `dataset.NAME` | digest of a dataset that was logged as its input |
| `metric.NAME`, `param.NAME`, `tag.NAME` | a metric's last value, a parameter, a tag of run or version |
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tunefleet.api.inspection import MAX_LINEAGE, MAX_LINEAGE_VALUE

MAX_KEY = 128
"""Characters."""
MIN_SECRET = 6
"""A shorter value of a Secret, such as a user's name or `true`, is no credential that a text could give away."""
_SECRETIVE = re.compile(
    r"passw(or)?d|secret|credential|api[_.-]?key|(private|access|account|signing)[_.-]?key|authorization|cookie"
    r"|(^|hf|hub|auth|access|api|bearer|refresh|session|sas|wandb|github|gitlab)[_.-]?token$",
    re.IGNORECASE,
)
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@|[?&](sig|signature|token|x-amz-[a-z-]+)=", re.IGNORECASE)
_OWN_TAGS = {"mlflow.source.git.commit": "mlflow.source.git.commit", "mlflow.user": "mlflow.user"}
_Json = Mapping[str, Any]


def lineage(model_version: _Json, run: _Json, asked: Mapping[str, str], secrets: Iterable[str]) -> dict[str, str]:
    """At most MAX_LINEAGE entries, the telling ones first. `secrets`: values that must not appear."""
    hidden = tuple(secret for secret in secrets if len(secret) >= MIN_SECRET)
    entries: dict[str, str] = {}
    for key, value in (*asked.items(), *_told(model_version, run)):
        text = value[:MAX_LINEAGE_VALUE]
        if key not in entries and len(key) <= MAX_KEY and text and _may_be_shown(key, value, hidden):
            entries[key] = text
    return dict(list(entries.items())[:MAX_LINEAGE])


def _told(model_version: _Json, run: _Json) -> Iterator[tuple[str, str]]:
    info, data = _object(run, "info"), _object(run, "data")
    yield from ((f"mlflow.{key}", str(info[key])) for key in ("run_id", "run_name", "experiment_id") if key in info)
    tags = _pairs(data, "tags")
    yield from ((name, tags[tag]) for tag, name in _OWN_TAGS.items() if tag in tags)
    yield from _datasets(_object(run, "inputs"))
    for kind in ("metric", "param"):
        yield from ((f"{kind}.{key}", value) for key, value in sorted(_pairs(data, f"{kind}s").items()))
    for group in (_pairs(model_version, "tags"), tags):
        yield from ((f"tag.{key}", value) for key, value in sorted(group.items()) if not key.startswith("mlflow."))


def _datasets(inputs: _Json) -> Iterator[tuple[str, str]]:
    """Names and digests; the source may be an address with a signature in it."""
    for entry in _objects(inputs, "dataset_inputs"):
        dataset = _object(entry, "dataset")
        if "name" in dataset:
            yield f"dataset.{dataset['name']}", str(dataset.get("digest") or "unknown")


def _pairs(holder: _Json, key: str) -> dict[str, str]:
    return {str(e["key"]): str(e["value"]) for e in _objects(holder, key) if "key" in e and "value" in e}


def _objects(holder: _Json, key: str) -> list[_Json]:
    value = holder.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _object(holder: _Json, key: str) -> _Json:
    value = holder.get(key)
    return value if isinstance(value, dict) else {}


def _may_be_shown(key: str, value: str, hidden: tuple[str, ...]) -> bool:
    name = key.partition(".")[2]
    if _SECRETIVE.search(name) or _URL_WITH_PASSWORD.search(value):
        return False
    return not any(secret in value or secret in key for secret in hidden)
