"""Which versions leave a bounded disk."""

from hypothesis import given
from hypothesis import strategies as st

from tunefleet.artifacts.eviction import Present, evictions

VERSIONS = st.lists(
    st.builds(Present, st.sampled_from("abcdefgh"), st.integers(0, 100), st.floats(0, 10)),
    max_size=8,
    unique_by=lambda version: version.digest,
)


def test_the_longest_unused_goes_first_and_no_more_than_must() -> None:
    old, middle, new = Present("a", 10, 1.0), Present("b", 10, 2.0), Present("c", 10, 3.0)
    assert evictions([new, old, middle], (), 30) == ()
    assert evictions([new, old, middle], (), 25) == (old,)
    assert evictions([new, old, middle], ("a",), 25) == (middle,)
    assert evictions([new, old, middle], (), 0) == (old, middle, new)


@given(VERSIONS, st.sets(st.sampled_from("abcdefgh")), st.integers(0, 400))
def test_what_is_needed_stays_and_the_bound_is_kept_where_it_can(
    present: list[Present], needed: set[str], bound: int
) -> None:
    gone = evictions(present, needed, bound)
    kept = [version for version in present if version not in gone]
    assert not {version.digest for version in gone} & needed
    fits = sum(version.size_bytes for version in kept) <= bound
    assert fits or all(version.digest in needed for version in kept)
    if gone:
        assert sum(version.size_bytes for version in (*kept, gone[-1])) > bound
    assert all(a.used >= b.used for a in kept for b in gone if a.digest not in needed)
