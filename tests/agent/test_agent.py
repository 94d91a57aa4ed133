"""An agent and an engine: what is desired gets loaded and proven, and comes back after every fault."""

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.agent.fake_engine import BASE, FakeEngine
from tests.agent.fleet import FAST, Pod, Running, agent_in, state_of
from tests.artifacts.samples import adapter_tensors
from tunefleet.api.conditions import Reason
from tunefleet.artifacts.pvc import PvcSource
from tunefleet.artifacts.source import RemoteFile
from tunefleet.engine.adapters_api import AdapterState

LOADED = AdapterState.LOADED
FAILED = AdapterState.FAILED


async def test_a_desired_adapter_is_loaded_under_its_engine_name_from_a_path_with_its_digest(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.put(german)
    report = await agent.wait_for(german, LOADED)
    assert engine.loaded == {german.engine_name: str(pod.stored(german))}
    assert german.digest.removeprefix("sha256:") in engine.loaded[german.engine_name]
    assert report.load_seconds is not None
    assert engine.calls[-1] == ("complete", german.engine_name)


async def test_the_whole_set_is_put_at_once_and_putting_it_again_changes_nothing(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    adapters = [pod.adapter(name) for name in ("german", "pirate", "formal")]
    await agent.put(*adapters)
    settled = await agent.wait(lambda r: all(state_of(r, a) == LOADED for a in adapters))
    calls = list(engine.calls)
    assert (await agent.put(*reversed(adapters))).etag == settled.etag
    assert engine.calls == calls


async def test_adapters_of_the_same_bytes_under_several_names_share_their_files(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    adapters = [german, *(pod.same_bytes(german, name) for name in ("deutsch", "allemand", "tedesco"))]
    await agent.put(*adapters)
    await agent.wait(lambda r: all(state_of(r, a) == LOADED for a in adapters))
    assert set(engine.loaded.values()) == {str(pod.stored(german))}
    assert len(engine.loaded) == len(adapters)


async def test_an_adapter_that_leaves_the_set_is_unloaded_and_its_files_stay(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german, pirate = pod.adapter("german"), pod.adapter("pirate")
    await agent.put(german, pirate)
    await agent.wait(lambda r: state_of(r, german) == state_of(r, pirate) == LOADED)
    await agent.put(pirate)
    await agent.wait(lambda r: state_of(r, german) is None)
    assert set(engine.loaded) == {pirate.engine_name}
    assert (pod.stored(german) / "adapter_model.safetensors").exists()


async def test_an_adapter_with_requests_is_unloaded_after_the_last_of_them(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    engine.busy.add(german.engine_name)
    await agent.put()
    await agent.wait_for(german, AdapterState.DRAINING)
    assert german.engine_name in engine.loaded
    engine.busy.clear()
    await agent.wait(lambda r: state_of(r, german) is None)
    assert engine.loaded == {}


async def test_an_adapter_that_comes_back_while_it_drains_is_never_loaded_twice(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    engine.busy.add(german.engine_name)
    await agent.put()
    await agent.wait_for(german, AdapterState.DRAINING)
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    assert engine.count("load", german.engine_name) == 1
    assert engine.count("unload", german.engine_name) == 0


async def test_an_adapter_is_still_there_for_requests_sent_by_an_older_table(pod: Pod, engine: FakeEngine) -> None:
    """Nothing of it runs now, but a gateway may not have read the report that it leaves."""
    pod.timing = replace(FAST, leave=3600)
    german, pirate = pod.adapter("german"), pod.adapter("pirate")
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
        await agent.put(pirate)
        await agent.wait_for(pirate, LOADED)
        assert state_of(await agent.report(), german) == AdapterState.DRAINING
        assert german.engine_name in engine.loaded
        await agent.put(german)
        await agent.wait_for(german, LOADED)
    assert engine.count("load", german.engine_name) == 1


@pytest.mark.parametrize("seen", [True, False], ids=["port closed", "between two looks"])
async def test_after_an_engine_restart_everything_is_loaded_again_under_the_same_names(
    pod: Pod, agent: Running, engine: FakeEngine, seen: bool
) -> None:
    adapters = [pod.adapter(name) for name in ("german", "pirate")]
    await agent.put(*adapters)
    before = await agent.wait(lambda r: all(state_of(r, a) == LOADED for a in adapters))
    for adapter in adapters:
        pod.lose_source(adapter)
    if seen:
        await engine.restart()
    else:
        engine.forget()
    after = await agent.wait(
        lambda r: r.engine.starts == before.engine.starts + 1 and all(state_of(r, a) == LOADED for a in adapters)
    )
    assert after.engine.ready
    assert set(engine.loaded) == {a.engine_name for a in adapters}


async def test_the_pod_is_ready_only_when_what_was_desired_at_the_engines_start_is_loaded_again(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    assert (await agent.get("/readyz"))[0] == 200
    engine.load_gate.clear()
    await engine.restart()
    await agent.wait(lambda r: r.engine.starts == 2 and r.engine.ready)
    assert (await agent.get("/readyz"))[0] == 503
    engine.load_gate.set()
    await agent.wait_for(german, LOADED)
    assert (await agent.get("/readyz"))[0] == 200


async def test_a_failed_adapter_blocks_neither_the_others_nor_readiness(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    tensors = adapter_tensors()
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"][0, 0] = np.nan
    broken, good = pod.adapter("broken", tensors=tensors), pod.adapter("good")
    await agent.put(broken, good)
    report = await agent.wait(lambda r: state_of(r, broken) == FAILED and state_of(r, good) == LOADED)
    assert report.adapters[0].reason == Reason.NOT_FINITE
    assert engine.count("load", broken.engine_name) == 0
    assert (await agent.get("/readyz"))[0] == 200


async def test_an_engine_that_is_up_and_cannot_compute_makes_nothing_ready(pod: Pod, engine: FakeEngine) -> None:
    engine.serving = False
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        report = await agent.wait(lambda r: "EngineCore" in r.message)
        assert not report.engine.ready
        assert (await agent.get("/readyz"))[0] == 503
        assert (await agent.get("/healthz"))[0] == 200
        engine.serving = True
        await agent.wait_for(german, LOADED)


async def test_an_adapter_that_is_answered_under_another_name_is_not_loaded(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    engine.answers_as[german.engine_name] = BASE
    await agent.put(german)
    report = await agent.wait_for(german, FAILED)
    assert report.reason == Reason.LOAD_FAILED
    assert german.engine_name not in engine.loaded


async def test_what_the_engine_refuses_is_failed_with_its_words_and_tried_again_at_its_next_start(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    engine.refuse_load = (500, "Call to add_lora method failed: something only this engine knows")
    await agent.put(german)
    report = await agent.wait_for(german, FAILED)
    assert report.reason == Reason.LOAD_FAILED
    assert "something only this engine knows" in report.message
    engine.refuse_load = None
    await engine.restart()
    await agent.wait_for(german, LOADED)


async def test_an_engine_that_is_going_does_not_fail_the_adapter(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    german = pod.adapter()
    engine.refuse_load = (500, "cannot schedule new futures after shutdown")
    await agent.put(german)
    await agent.wait(lambda r: any("Trying again" in a.message for a in r.adapters))
    engine.refuse_load = None
    await agent.wait_for(german, LOADED)


async def test_a_restarted_agent_finds_its_adapters_loaded_and_fails_no_request(pod: Pod, engine: FakeEngine) -> None:
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
    pod.lose_source(german)
    async with agent_in(pod) as agent:
        await agent.wait_for(german, LOADED)
    assert engine.count("load", german.engine_name) == 1
    assert engine.count("unload", german.engine_name) == 0


async def test_what_another_hand_loaded_under_the_name_is_replaced(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.wait(lambda r: r.engine.ready)
    engine.loaded[german.engine_name] = "/somewhere/else"
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    assert engine.loaded == {german.engine_name: str(pod.stored(german))}


async def test_what_left_the_set_while_no_agent_ran_is_unloaded(pod: Pod, engine: FakeEngine) -> None:
    german, pirate = pod.adapter("german"), pod.adapter("pirate")
    async with agent_in(pod) as agent:
        await agent.put(german, pirate)
        await agent.wait(lambda r: state_of(r, german) == state_of(r, pirate) == LOADED)
    (pod.directory / "adapters" / "desired.json").unlink()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
        await engine.until(lambda: pirate.engine_name not in engine.loaded)
        assert set(engine.loaded) == {german.engine_name}


async def test_an_adapter_that_leaves_while_it_is_being_loaded_does_not_stay_behind(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    engine.load_gate.clear()
    await agent.put(german)
    await agent.wait_for(german, AdapterState.LOADING)
    await engine.until(lambda: engine.count("load", german.engine_name) == 1)
    await agent.put()
    engine.load_gate.set()
    await agent.wait(lambda r: not r.adapters)
    assert engine.loaded == {}


async def test_two_sets_within_a_moment_end_in_the_last_one(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    one, two = pod.adapter(version=1), pod.adapter(version=2)
    await asyncio.gather(agent.put(one), agent.put(one, two))
    await agent.put(two)
    await agent.wait(lambda r: state_of(r, two) == LOADED and state_of(r, one) is None)
    assert set(engine.loaded) == {two.engine_name}


async def test_on_cpu_one_slot_is_the_ballasts(pod: Pod, engine: FakeEngine) -> None:
    pod.device, pod.slots = "cpu", 3
    adapters = [pod.adapter(name) for name in ("one", "two", "three")]
    async with agent_in(pod) as agent:
        await agent.put(*adapters[:2])
        await agent.wait(lambda r: all(state_of(r, a) == LOADED for a in adapters[:2]))
        await agent.put(*adapters)
        failed = await agent.wait_for(adapters[2], FAILED)
        assert failed.reason == Reason.NO_FREE_SLOT
        await agent.put(*adapters[1:])
        await agent.wait_for(adapters[2], LOADED)
    ballast = {f"tunefleet-ballast-{slot}" for slot in range(3)}
    assert set(engine.loaded) == {a.engine_name for a in adapters[1:]} | ballast


async def test_on_cpu_zeros_fill_every_slot_first_and_the_last_one_is_used_before_each_load(
    pod: Pod, engine: FakeEngine
) -> None:
    pod.device, pod.slots = "cpu", 3
    german, keeper = pod.adapter(), "tunefleet-ballast-2"
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
        engine.calls.clear()
        await engine.restart()
        await agent.wait(lambda r: r.engine.starts == 2 and state_of(r, german) == LOADED)
    loads = [name for call, name in engine.calls if call == "load"]
    assert loads == [*(f"tunefleet-ballast-{slot}" for slot in range(3)), german.engine_name]
    before = engine.calls[: engine.calls.index(("load", german.engine_name))]
    assert before[-1] == ("complete", keeper)


async def test_on_cpu_a_third_generation_waits_until_the_streams_of_the_first_have_ended(
    pod: Pod, engine: FakeEngine
) -> None:
    pod.device, pod.slots = "cpu", 3
    first, second, third = (pod.adapter(version=number) for number in (1, 2, 3))
    async with agent_in(pod) as agent:
        await agent.put(first, second)
        await agent.wait(lambda r: state_of(r, first) == state_of(r, second) == LOADED)
        engine.busy.add(first.engine_name)
        await agent.put(second, third)
        waiting = await agent.wait(lambda r: any("still finish their requests" in a.message for a in r.adapters))
        assert state_of(waiting, third) == AdapterState.LOADING
        assert state_of(waiting, first) == AdapterState.DRAINING
        assert {first.engine_name, second.engine_name} < engine.loaded.keys()
        engine.busy.clear()
        await agent.wait_for(third, LOADED)
    assert first.engine_name not in engine.loaded


async def test_the_same_bytes_at_another_place_need_no_load(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    moved = german.model_copy(update={"uri": "pvc://adapters/elsewhere"})
    report = await agent.put(moved)
    assert report.adapters[0].state == LOADED
    assert report.adapters[0].uri == moved.uri
    assert engine.count("load", german.engine_name) == 1


async def test_a_source_that_is_not_there_yet_is_tried_again(pod: Pod, agent: Running) -> None:
    german = pod.adapter()
    place = pod.claim / "german-1"
    hidden = place.rename(pod.claim / "hidden")
    await agent.put(german)
    assert (await agent.wait_for(german, FAILED)).reason == Reason.SOURCE_NOT_FOUND
    hidden.rename(place)
    await agent.wait_for(german, LOADED)


async def test_other_bytes_at_the_source_are_refused_until_the_set_changes(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    (pod.claim / "german-1" / "adapter_config.json").write_text("{}")
    await agent.put(german)
    report = await agent.wait_for(german, FAILED)
    assert report.reason == Reason.DIGEST_MISMATCH
    assert engine.calls.count(("load", german.engine_name)) == 0


async def test_files_that_changed_on_the_pods_disk_are_never_loaded(pod: Pod, engine: FakeEngine) -> None:
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
    weights = pod.stored(german) / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    engine.forget()
    async with agent_in(pod) as agent:
        assert (await agent.wait_for(german, FAILED)).reason == Reason.DIGEST_MISMATCH
    assert engine.loaded == {}


async def test_an_agent_without_a_set_unloads_nothing(pod: Pod, engine: FakeEngine) -> None:
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.wait_for(german, LOADED)
    (pod.directory / "adapters" / "desired.json").write_text("{broken")
    async with agent_in(pod) as agent:
        await agent.wait(lambda r: r.engine.ready)
        await agent.put(german)
        await agent.wait_for(german, LOADED)
    assert engine.count("load", german.engine_name) == 1
    assert engine.count("unload", german.engine_name) == 0


async def test_an_adapter_that_another_hand_unloaded_comes_back(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    german = pod.adapter()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    engine.loaded.clear()
    await agent.put()
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    assert german.engine_name in engine.loaded


async def test_a_slow_source_holds_nobody_else_back(pod: Pod, agent: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = pod.adapter("slow"), pod.adapter("quick")
    going, read = asyncio.Event(), PvcSource.read

    async def slow_read(source: PvcSource, file: RemoteFile, start: int, length: int) -> bytes:
        if source.uri.startswith("pvc://adapters/slow"):
            await going.wait()
        return await read(source, file, start, length)

    monkeypatch.setattr(PvcSource, "read", slow_read)
    await agent.put(slow, quick)
    await agent.wait_for(quick, LOADED)
    assert state_of(await agent.report(), slow) == AdapterState.FETCHING
    await agent.put(quick)
    await agent.wait(lambda r: state_of(r, slow) is None)
    assert not list((pod.directory / "adapters").glob(".partial-*"))
    going.set()
    await agent.put(slow, quick)
    await agent.wait_for(slow, LOADED)


async def test_a_secret_that_appears_later_mends_the_adapter(pod: Pod, agent: Running, tmp_path: Path) -> None:
    german = pod.adapter().model_copy(update={"secret_name": "keys"})
    await agent.put(german)
    assert (await agent.wait_for(german, FAILED)).reason == Reason.SECRET_NOT_FOUND
    pod.secrets.data["keys"] = {}
    await agent.wait_for(german, LOADED)
