"""Weights from a PersistentVolumeClaim: the base and an adapter, without any S3 server."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.demo.load import Question
from dev.demo.prepare import MODELS
from dev.demo.scenario import SHORT

from .fleet import Fleet, adapter, base_model, endpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def volume(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A claim that holds examples/models, readable by pods."""
    folder = Path(shutil.copytree(MODELS, tmp_path_factory.mktemp("volume") / "models"))
    for path in (folder.parent.parent, folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    capacity, modes = {"storage": "1Gi"}, ["ReadWriteOnce"]
    fleet.apply(
        {
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "tunefleet-e2e-models"},
            "spec": {
                "capacity": capacity, "accessModes": modes, "storageClassName": "", "hostPath": {"path": str(folder)},
                "claimRef": {"namespace": fleet.namespace, "name": "weights"},
            },
        },
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "weights"},
            "spec": {"accessModes": modes, "storageClassName": "", "resources": {"requests": capacity}},
        },
    )  # fmt: skip
    yield "weights"
    fleet.delete(["loraadapter/from-volume", "inferenceendpoint/from-volume", "basemodel/from-volume"])
    fleet.delete(["pvc/weights", "pv/tunefleet-e2e-models"])


async def test_base_and_adapter_from_a_volume(fleet: Fleet, volume: str) -> None:
    fleet.apply(
        base_model("from-volume", f"pvc://{volume}/base/v1"),
        endpoint("from-volume", base="from-volume"),
        adapter("german-from-volume", f"pvc://{volume}/german/v1", base="from-volume"),
    )
    await asyncio.to_thread(fleet.wait, "inferenceendpoint/from-volume", "condition=Ready", 200)
    await asyncio.to_thread(fleet.wait, "loraadapter/german-from-volume", "condition=Ready", 200)
    answer = await fleet.load().ask(Question("german-from-volume", SHORT))
    assert answer.text == fleet.expected["german@v1"][SHORT]
    fleet.delete(["loraadapter/german-from-volume"])
