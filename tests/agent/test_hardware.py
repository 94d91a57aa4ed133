"""Which processor the engine computes on."""

from pathlib import Path

from tunefleet.agent.hardware import product


def test_the_model_of_the_cpu(tmp_path: Path) -> None:
    core = "processor\t: {}\nmodel name\t: AMD EPYC 9V74\nflags\t\t: fpu\n\n"
    (tmp_path / "cpuinfo").write_text(core.format(0) + core.format(1))
    assert product("cpu", "node-1", tmp_path) == "AMD EPYC 9V74"


def test_the_models_of_the_nodes_gpus(tmp_path: Path) -> None:
    for slot, model in (
        ("0000:01:00.0", "NVIDIA H200"),
        ("0000:02:00.0", "NVIDIA H200"),
        ("0000:03:00.0", "NVIDIA L4"),
    ):
        place = tmp_path / "driver" / "nvidia" / "gpus" / slot
        place.mkdir(parents=True)
        (place / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 186\n")
    assert product("gpu", "node-1", tmp_path) == "NVIDIA H200, NVIDIA L4"


def test_where_nothing_can_be_read_the_node_stands_for_it(tmp_path: Path) -> None:
    assert product("gpu", "node-1", tmp_path) == product("cpu", "node-1", tmp_path) == "node-1"
