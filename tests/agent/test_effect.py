"""An engine that answers with other weights than it was given: no error shows it, the figures do."""

import numpy as np
import pytest

from tests.agent.fake_engine import BASE, FakeEngine
from tests.agent.fleet import Pod, Running, agent_in, state_of
from tests.artifacts.samples import adapter_tensors
from tunefleet.api.conditions import Reason
from tunefleet.api.lora_adapter import Fingerprint
from tunefleet.engine.adapters_api import AdapterReport, AdaptersReport, AdapterState, DesiredAdapter
from tunefleet.engine.fingerprint import FIGURES

LOADED = AdapterState.LOADED
FAILED = AdapterState.FAILED


def different(pod: Pod, name: str, seed: int) -> DesiredAdapter:
    return pod.adapter(name, tensors=adapter_tensors(seed=seed))


def of(report: AdaptersReport, desired: DesiredAdapter) -> AdapterReport:
    return next(a for a in report.adapters if a.engine_name == desired.engine_name)


def recorded(desired: DesiredAdapter, report: AdapterReport) -> DesiredAdapter:
    """As the operator puts it once the first figures stand in the status."""
    assert report.fingerprint is not None
    return desired.model_copy(update={"fingerprints": (report.fingerprint,)})


async def test_figures_are_measured_by_the_one_request_that_proves_the_load(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german = pod.adapter()
    await agent.put(german)
    report = await agent.wait_for(german, LOADED)
    assert report.fingerprint is not None
    assert len(report.fingerprint.logprobs) == FIGURES
    assert report.fingerprint.engine == (await agent.report()).engine.kind
    assert not report.compared
    assert engine.count("complete", german.engine_name) == 1


async def test_an_adapter_that_changes_nothing_is_failed_and_leaves_the_engine(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    zeros = {name: np.zeros_like(tensor) for name, tensor in adapter_tensors().items()}
    idle, good = pod.adapter("idle", tensors=zeros), pod.adapter("good")
    await agent.put(idle, good)
    report = await agent.wait(lambda r: state_of(r, idle) == FAILED and state_of(r, good) == LOADED)
    assert of(report, idle).reason == Reason.NO_EFFECT
    await engine.until(lambda: idle.engine_name not in engine.loaded)
    assert (await agent.get("/readyz"))[0] == 200
    await engine.restart()
    await engine.until(lambda: engine.count("load", idle.engine_name) == 2)
    await agent.wait(lambda r: r.engine.starts == 2 and state_of(r, idle) == FAILED)


async def test_an_engine_that_answers_with_another_adapters_weights(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    german, pirate = different(pod, "german", 1), different(pod, "pirate", 2)
    await agent.put(german)
    await agent.wait_for(german, LOADED)
    engine.computes_with[pirate.engine_name] = german.engine_name
    await agent.put(german, pirate)
    report = await agent.wait_for(pirate, FAILED)
    assert report.reason == Reason.WRONG_WEIGHTS
    assert german.engine_name in report.message
    await engine.until(lambda: pirate.engine_name not in engine.loaded)
    assert state_of(await agent.report(), german) == LOADED


async def test_the_same_weights_under_two_names_are_no_fault(pod: Pod, agent: Running) -> None:
    german = pod.adapter("german")
    other = pod.adapter("german", 2, lora_alpha=32)
    await agent.put(german, other)
    await agent.wait(lambda r: state_of(r, german) == state_of(r, other) == LOADED)


async def test_a_record_that_agrees_needs_no_load(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    german = pod.adapter()
    await agent.put(german)
    first = await agent.wait_for(german, LOADED)
    calls = list(engine.calls)
    await agent.put(recorded(german, first))
    report = await agent.wait(lambda r: r.adapters[0].compared)
    assert report.adapters[0].state == LOADED
    assert engine.calls == calls


async def test_records_of_other_kinds_of_engine_say_nothing(pod: Pod, agent: Running) -> None:
    german = pod.adapter()
    elsewhere = Fingerprint(engine="elsewhere", logprobs=(-1.0,) * FIGURES)
    await agent.put(german.model_copy(update={"fingerprints": (elsewhere,)}))
    assert not (await agent.wait_for(german, LOADED)).compared


async def test_a_record_that_disagrees_takes_a_loaded_adapter_out(pod: Pod, agent: Running, engine: FakeEngine) -> None:
    """It was measured elsewhere first: this engine is the one that is wrong."""
    german = pod.adapter()
    await agent.put(german)
    first = await agent.wait_for(german, LOADED)
    assert first.fingerprint is not None
    other = first.fingerprint.model_copy(update={"logprobs": tuple(f - 1 for f in first.fingerprint.logprobs)})
    wanted = german.model_copy(update={"fingerprints": (other,)})
    await agent.put(wanted)
    report = await agent.wait_for(german, FAILED)
    assert report.reason == Reason.WRONG_WEIGHTS
    await engine.until(lambda: german.engine_name not in engine.loaded)
    loads = engine.count("load", german.engine_name)
    await agent.put(wanted)
    await agent.put(wanted.model_copy(update={"fingerprints": (other, *german.fingerprints)}))
    assert engine.count("load", german.engine_name) == loads, "only the next start of the engine may mend it"


@pytest.mark.parametrize("instead", [BASE, "pirate"])
async def test_a_restarted_engine_that_answers_with_something_else(
    pod: Pod, agent: Running, engine: FakeEngine, instead: str
) -> None:
    german, pirate = different(pod, "german", 1), different(pod, "pirate", 2)
    await agent.put(german, pirate)
    await agent.wait(lambda r: state_of(r, german) == state_of(r, pirate) == LOADED)
    await agent.put(recorded(german, of(await agent.report(), german)), pirate)
    await agent.wait(lambda r: of(r, german).compared)
    engine.computes_with[german.engine_name] = pirate.engine_name if instead == "pirate" else instead
    await engine.restart()
    report = await agent.wait(lambda r: r.engine.starts == 2 and state_of(r, german) == FAILED)
    assert of(report, german).reason == Reason.WRONG_WEIGHTS
    engine.computes_with.clear()
    await engine.restart()
    await agent.wait(lambda r: r.engine.starts == 3 and state_of(r, german) == LOADED)


async def test_a_restarted_agent_measures_again_and_has_the_records_from_its_disk(pod: Pod, engine: FakeEngine) -> None:
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.put(recorded(german, await agent.wait_for(german, LOADED)))
    engine.computes_with[german.engine_name] = BASE
    async with agent_in(pod) as agent:
        assert (await agent.wait_for(german, FAILED)).reason == Reason.WRONG_WEIGHTS
    assert engine.count("load", german.engine_name) == 1


async def test_noise_of_the_engine_is_measured_and_allowed_for(pod: Pod, engine: FakeEngine) -> None:
    engine.noise = 0.2
    german = pod.adapter()
    async with agent_in(pod) as agent:
        await agent.put(german)
        await agent.put(recorded(german, await agent.wait_for(german, LOADED)))
        await agent.wait(lambda r: r.adapters[0].compared)
        await engine.restart()
        report = await agent.wait(lambda r: r.engine.starts == 2 and state_of(r, german) in (LOADED, FAILED))
        assert state_of(report, german) == LOADED


async def test_an_engine_whose_base_answers_differently_each_time_is_not_ready(pod: Pod, engine: FakeEngine) -> None:
    engine.noise = 4.0
    async with agent_in(pod) as agent:
        await agent.put(pod.adapter())
        report = await agent.wait(lambda r: "answers to the same prompts differ" in r.message)
        assert not report.engine.ready
        engine.noise = 0.0
        await agent.wait(lambda r: r.engine.ready)


async def test_a_name_that_was_taken_out_comes_back_only_after_its_last_request(
    pod: Pod, agent: Running, engine: FakeEngine
) -> None:
    """Requests from before the unloading still have the former weights: two of one name would end the engine."""
    german = pod.adapter()
    engine.computes_with[german.engine_name] = BASE
    await agent.put(german)
    await agent.wait_for(german, FAILED)
    await engine.until(lambda: german.engine_name not in engine.loaded)
    engine.computes_with.clear()
    engine.waiting = 1
    await agent.put()
    await agent.wait(lambda r: not r.adapters)
    await agent.put(german)
    await agent.wait_for(german, AdapterState.LOADING)
    assert engine.count("load", german.engine_name) == 1
    engine.waiting = 0
    await agent.wait_for(german, LOADED)
