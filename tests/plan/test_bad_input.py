"""Bad input: each gets a condition whose sentence says what to do, and everything else keeps serving."""

from typing import Any

import pytest

from tests.plan.fleet import (
    Q_PROJ,
    adapter_files,
    adapter_version,
    base_files,
    base_model,
    condition,
    digest,
    endpoint,
    lora_adapter,
    metadata,
    standing,
)
from tests.plan.simulation import Cluster
from tunefleet.api.lora_adapter import LoRAAdapter
from tunefleet.plan.facts import ObjectRef


def serving_cluster(**spec: Any) -> Cluster:
    """One base, one adapter that answers, one endpoint."""
    cluster = Cluster(
        files={
            "s3://models/tiny/1": base_files("base 1"),
            "s3://adapters/good/1": adapter_files("good 1"),
            "s3://adapters/new/1": adapter_files("new 1"),
            "s3://adapters/new/2": adapter_files("new 2"),
        }
    )
    cluster.add(base_model(), lora_adapter("good"), endpoint(**spec))
    cluster.settle()
    return cluster


def says(obj: Any, type_: str = "Ready") -> str:
    """The sentence of a condition."""
    found = condition(obj.status.conditions, type_)
    assert found is not None
    return found.message


def assert_good_still_serves(cluster: Cluster) -> None:
    good = cluster.adapter("good").status
    assert standing(good.conditions) == {"Ready": ("True", "Serving")}
    assert cluster.holders(good.traffic[0].engine_name)


REFUSED_ADAPTERS: list[tuple[str, dict[str, Any], str, str]] = [
    ("unknown base", {"base": "nobody"}, "BaseNotFound", "create it"),
    (
        "unknown base version",
        {"versions": [adapter_version("new", 1, base=7)]},
        "BaseVersionNotFound",
        "has no version 7; it has 1",
    ),
    (
        "no files",
        {"versions": [adapter_version("new", 1, source={"uri": "s3://adapters/nothing"})]},
        "SourceNotFound",
        "nothing is there",
    ),
    (
        "other bytes than the digest says",
        {"versions": [adapter_version("new", 1, digest=digest("else"))]},
        "DigestMismatch",
        "add a version with the digest",
    ),
]


@pytest.mark.parametrize(("what", "adapter", "reason", "sentence"), REFUSED_ADAPTERS, ids=lambda v: str(v)[:24])
def test_an_adapter_that_cannot_be_served_says_why(
    what: str, adapter: dict[str, Any], reason: str, sentence: str
) -> None:
    cluster = serving_cluster()
    cluster.add(lora_adapter("new", **adapter))
    cluster.settle()
    new = cluster.adapter("new")
    assert standing(new.status.conditions) == {"Ready": ("False", reason), "Stalled": ("True", reason)}
    assert sentence in says(new)
    assert new.status.traffic == ()
    assert_good_still_serves(cluster)


GATED: list[tuple[dict[str, Any], str]] = [
    ({"modules": {Q_PROJ: (256, 256)}}, "WrongBase"),
    ({"layers": 9}, "WrongBase"),
    ({"configured_rank": 16, "rank_mismatches": ("q_proj",)}, "RankMismatch"),
    ({"features": ("dora",)}, "FeatureUnsupported"),
    ({"non_finite": ("q_proj.lora_A",)}, "NotFinite"),
]


@pytest.mark.parametrize(("facts", "reason"), GATED, ids=lambda v: str(v)[:30])
def test_the_gate_refuses_before_an_engine_sees_it(facts: dict[str, Any], reason: str) -> None:
    cluster = serving_cluster()
    cluster.files["s3://adapters/new/1"] = adapter_files("new 1", **facts)
    cluster.add(lora_adapter("new"))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Stalled"] == ("True", reason)
    assert all("new@" not in d.engine_name for p in cluster.processes.values() for d in p.desired or ())
    assert_good_still_serves(cluster)


def test_a_refused_new_version_leaves_the_former_one_serving() -> None:
    cluster = serving_cluster()
    cluster.files["s3://adapters/good/2"] = adapter_files("good 2", non_finite=("x",))
    cluster.add(lora_adapter("good", [adapter_version("good", 1), adapter_version("good", 2)], active=2))
    cluster.settle()
    good = cluster.adapter("good")
    assert standing(good.status.conditions) == {"Ready": ("True", "Serving"), "Stalled": ("True", "NotFinite")}
    assert good.status.serving_version == 1
    assert says(good, "Stalled").startswith("version 2: ")
    cluster.activate("good", 1)
    cluster.settle()
    assert_good_still_serves(cluster)


def test_an_unknown_base_of_an_endpoint() -> None:
    cluster = serving_cluster()
    cluster.add(endpoint("lost", base="nobody"))
    cluster.settle()
    lost = cluster.endpoint("lost")
    assert standing(lost.status.conditions) == {
        "Ready": ("False", "BaseNotFound"),
        "Stalled": ("True", "BaseNotFound"),
    }
    assert "create it" in says(lost)
    assert_good_still_serves(cluster)


def test_a_base_version_that_does_not_exist_leaves_the_running_one() -> None:
    cluster = serving_cluster()
    cluster.serve_base(9)
    cluster.settle_for(900)
    assert standing(cluster.endpoint().status.conditions) == {
        "Ready": ("True", "Serving"),
        "Stalled": ("True", "BaseVersionNotFound"),
    }
    assert_good_still_serves(cluster)


def test_a_refused_base_version_leaves_the_running_one() -> None:
    cluster = serving_cluster()
    cluster.files["s3://models/tiny/2"] = adapter_files("not a base")
    cluster.add(base_model(versions=(1, 2)))
    cluster.serve_base(2)
    cluster.settle()
    assert standing(cluster.base().status.conditions) == {
        "Ready": ("True", "Accepted"),
        "Stalled": ("True", "ConfigInvalid"),
    }
    assert standing(cluster.endpoint().status.conditions)["Stalled"] == ("True", "BaseRefused")
    assert_good_still_serves(cluster)


def test_a_rank_above_the_endpoints_explicit_one() -> None:
    cluster = serving_cluster(adapters={"maxRank": 8})
    cluster.files["s3://adapters/new/1"] = adapter_files("new 1", rank=16)
    cluster.add(lora_adapter("new"))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("False", "RankTooHigh")
    assert "raise it or set it to Auto" in says(cluster.adapter("new"))
    assert_good_still_serves(cluster)


def test_no_free_slot_until_another_adapter_goes() -> None:
    cluster = serving_cluster(adapters={"slots": 2})
    cluster.add(lora_adapter("new"))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("False", "NoFreeSlot")
    assert "raise spec.adapters.slots" in says(cluster.adapter("new"))
    assert_good_still_serves(cluster)
    cluster.adapters = {key: a for key, a in cluster.adapters.items() if key.name != "good"}
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("True", "Serving")


def test_the_younger_of_two_objects_with_one_served_name_waits_for_it() -> None:
    cluster = serving_cluster()
    young = lora_adapter("new", servedModelName="good")
    meta = young.metadata.model_copy(update={"creation_timestamp": "2026-11-21T13:00:00Z"})
    cluster.add(young.model_copy(update={"metadata": meta}))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("False", "NameConflict")
    assert "ml/good is older" in says(cluster.adapter("new"))
    assert_good_still_serves(cluster)
    cluster.adapters = {key: a for key, a in cluster.adapters.items() if key.name != "good"}
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("True", "Serving")


def test_a_number_that_comes_back_with_other_bytes_is_refused() -> None:
    cluster = serving_cluster()
    two = [adapter_version("new", 1), adapter_version("new", 2)]
    cluster.add(lora_adapter("new", two, active=2))
    cluster.settle()
    cluster.add(lora_adapter("new", two[1:], active=2))
    cluster.settle()
    cluster.files["s3://adapters/new/1b"] = adapter_files("other bytes")
    back = adapter_version("new", 1, source={"uri": "s3://adapters/new/1b"})
    cluster.add(lora_adapter("new", [back, two[1]], active=1))
    cluster.settle()
    new = cluster.adapter("new")
    assert standing(new.status.conditions) == {"Ready": ("True", "Serving"), "Stalled": ("True", "VersionReused")}
    assert new.status.serving_version == 2
    assert "a number that was never used" in says(new, "Stalled")


def test_a_digest_that_the_number_did_not_have_is_refused_without_reading() -> None:
    cluster = serving_cluster()
    changed = adapter_version("good", 1, digest=digest("other bytes"))
    cluster.add(lora_adapter("good", [changed]))
    plans = [cluster.plan(ref) for ref in cluster.refs()]
    assert not any(plan.inspections for plan in plans)
    cluster.settle()
    assert standing(cluster.adapter("good").status.conditions)["Stalled"] == ("True", "VersionReused")


def test_an_adapter_whose_base_version_no_endpoint_serves() -> None:
    cluster = serving_cluster()
    cluster.files["s3://models/tiny/2"] = base_files("base 2")
    cluster.add(base_model(versions=(1, 2)), lora_adapter("new", [adapter_version("new", 1, base=2)]))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("False", "BaseVersionNotServed")
    assert "chat version 1 is served" in says(cluster.adapter("new"))


def test_an_adapter_that_nobody_selects_is_not_broken() -> None:
    cluster = serving_cluster(adapters={"selector": {"matchLabels": {"team": "a"}}})
    lonely = cluster.adapter("good")
    assert standing(lonely.status.conditions) == {
        "Ready": ("Unknown", "NoEndpoint"),
        "Reconciling": ("True", "NoEndpoint"),
    }


def test_extra_arguments_that_the_operator_owns() -> None:
    cluster = serving_cluster(engine={"extraArgs": ["--port=1"]})
    assert standing(cluster.endpoint().status.conditions)["Stalled"] == ("True", "SpecInvalid")
    assert "--port" in says(cluster.endpoint())


def test_an_engine_that_refuses_an_adapter_is_quoted() -> None:
    cluster = serving_cluster()
    cluster.unloadable.add(digest("new 1"))
    cluster.add(lora_adapter("new"))
    cluster.settle()
    assert standing(cluster.adapter("new").status.conditions)["Ready"] == ("False", "LoadFailed")
    assert_good_still_serves(cluster)


def test_what_was_missing_is_found_when_it_comes() -> None:
    cluster = serving_cluster()
    files = cluster.files.pop("s3://adapters/new/1")
    cluster.add(lora_adapter("new"))
    cluster.settle()
    before = cluster.writes
    cluster.settle_for(300)
    assert cluster.writes == before, "asking again writes nothing while the answer stays the same"
    cluster.files["s3://adapters/new/1"] = files
    cluster.settle_for(120)
    assert standing(cluster.adapter("new").status.conditions) == {"Ready": ("True", "Serving")}


def test_pods_that_fit_no_node_say_so() -> None:
    cluster = Cluster(files={"s3://models/tiny/1": base_files("base 1")}, nodes_are_full=True)
    cluster.add(base_model(), endpoint())
    cluster.settle()
    assert standing(cluster.endpoint().status.conditions) == {
        "Ready": ("False", "Unschedulable"),
        "Reconciling": ("True", "Unschedulable"),
    }
    assert "0/1 nodes are available" in says(cluster.endpoint())


def test_an_object_that_is_going_is_left_alone() -> None:
    cluster = serving_cluster()
    meta = metadata("gone", deletionTimestamp="2026-11-21T12:00:00Z")
    gone = LoRAAdapter.read({**lora_adapter("gone").dump(), "metadata": meta})
    cluster.add(gone)
    assert cluster.plan(ObjectRef("LoRAAdapter", "ml", "gone")).empty
