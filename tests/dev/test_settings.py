"""One name gives an instance its number, and the number its addresses."""

import ipaddress
from pathlib import Path

import pytest

from dev import settings


@pytest.fixture(autouse=True)
def no_interfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clusters that run on this machine do not count."""
    monkeypatch.setattr(settings, "INTERFACES", tmp_path / "interfaces")
    return tmp_path / "interfaces"


def load(cache: Path, name: str | None = None) -> settings.Settings:
    environ = {"TUNEFLEET_CACHE": str(cache)} | ({"TUNEFLEET_CLUSTER": name} if name else {})
    return settings.load(environ)


def test_the_default_name(tmp_path: Path) -> None:
    assert load(tmp_path).name == "tunefleet"


def test_a_name_keeps_its_number(tmp_path: Path) -> None:
    first, second = load(tmp_path, "one"), load(tmp_path, "two")

    assert (first.index, second.index) == (0, 1)
    assert load(tmp_path, "two") == second
    assert load(tmp_path, "one") == first


def test_a_forgotten_number_is_given_again(tmp_path: Path) -> None:
    first = load(tmp_path, "one")
    load(tmp_path, "two")
    settings.forget(first)

    assert load(tmp_path, "three").index == first.index


def test_instances_share_no_address_no_interface_and_no_directory(tmp_path: Path) -> None:
    first, second = load(tmp_path, "one"), load(tmp_path, "two")

    assert not ipaddress.ip_network(first.network).overlaps(ipaddress.ip_network(second.network))
    assert first.host_link != second.host_link
    assert first.cgroup != second.cgroup
    assert first.run != second.run
    assert first.state != second.state


def test_ranges_lie_within_the_instances_network_and_do_not_overlap(tmp_path: Path) -> None:
    one = load(tmp_path, "one")
    pods, services = ipaddress.ip_network(one.pods), ipaddress.ip_network(one.services)
    link = ipaddress.ip_network(f"{one.host_address}/30", strict=False)
    whole = ipaddress.ip_network(one.network)

    for part in (pods, services, link):
        assert part.subnet_of(whole)  # type: ignore[arg-type]  # both are of version 4
    assert not pods.overlaps(services)
    assert not link.overlaps(pods)
    assert not link.overlaps(services)
    assert ipaddress.ip_address(one.node_address) in link
    assert ipaddress.ip_address(one.dns_service) in services
    assert ipaddress.ip_address(one.api_service) == services[1]


def test_the_link_is_short_enough_for_an_interface_name(tmp_path: Path) -> None:
    one = load(tmp_path, "a" * 20)

    assert len(one.host_link) <= 15


@pytest.mark.parametrize("name", ["Big", "1st", "a/b", "a b", "../x", "a" * 21])
def test_a_name_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(settings.SettingsError, match="TUNEFLEET_CLUSTER"):
        load(tmp_path, name)


def test_a_number_that_a_cluster_of_another_cache_has_is_not_given(tmp_path: Path, no_interfaces: Path) -> None:
    (no_interfaces / "tf-link0").mkdir(parents=True)

    assert load(tmp_path, "one").index == 1


def test_too_many_instances_are_refused(tmp_path: Path) -> None:
    for number in range(settings.INSTANCES):
        load(tmp_path, f"c{number}")

    with pytest.raises(settings.SettingsError, match="down --purge"):
        load(tmp_path, "one-more")
    assert load(tmp_path, "c0").index == 0
