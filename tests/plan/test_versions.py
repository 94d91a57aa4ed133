"""What a status remembers of versions."""

from tests.plan.fleet import digest
from tunefleet.api.common import Version, VersionStatus
from tunefleet.api.conditions import Reason
from tunefleet.plan.versions import MAX_REMEMBERED, claim_of, entry_of, merged, remembered, reused, settled


def version(uri: str = "s3://a/b", digest: str | None = None) -> Version:
    return Version.read({"version": 1, "source": {"uri": uri}, "digest": digest})


def entry(number: int = 1, **more: object) -> VersionStatus:
    return VersionStatus.model_validate({"version": number, **more})


def test_an_accepted_entry_of_the_same_place_and_digest_is_settled() -> None:
    known = entry(digest=digest("x"), resolved_uri="s3://a/b", accepted=True)
    assert settled(known, version())
    assert settled(known, version(digest=digest("x")))
    assert not settled(known, version(digest=digest("y")))
    assert not settled(known, version(uri="s3://a/c"))


def test_a_branch_that_was_resolved_to_a_commit_is_the_same_place() -> None:
    known = entry(digest=digest("x"), resolved_uri="hf://org/model@0123456789abcdef", accepted=True)
    assert settled(known, version(uri="hf://org/model@main"))
    assert not settled(known, version(uri="hf://org/other@main"))


def test_what_is_not_judged_is_not_settled() -> None:
    assert not settled(None, version())
    assert not settled(entry(digest=digest("x")), version())
    assert not settled(entry(reason="SourceNotFound"), version())


def test_a_reused_number_is_read_again_when_the_former_digest_is_named() -> None:
    known = entry(digest=digest("x"), accepted=False, reason=Reason.VERSION_REUSED, resolved_uri="s3://a/b")
    assert settled(known, version())
    assert not settled(known, version(digest=digest("x")))


def test_removed_versions_leave_number_and_digest() -> None:
    entries = [
        entry(1, digest=digest("1"), accepted=True, size_bytes=5),
        entry(2, accepted=False, reason="WeightsInvalid"),
        entry(3, digest=digest("3"), accepted=True),
        entry(4, digest=digest("4"), accepted=True, size_bytes=7),
    ]
    kept = remembered(entries, listed=[3], kept=[4])
    assert kept == (entry(1, digest=digest("1")), entries[3]), "2 never was accepted, 4 still serves"


def test_the_lowest_removed_numbers_are_forgotten_first() -> None:
    gone = [entry(n, digest=digest(str(n))) for n in range(1, MAX_REMEMBERED + 10)]
    listed = [entry(n) for n in (1000, 1001)]
    numbers = [e.version for e in merged(listed, gone)]
    assert len(numbers) == MAX_REMEMBERED
    assert numbers[0] == 12
    assert numbers[-2:] == [1000, 1001]


def test_reuse_needs_two_digests() -> None:
    assert reused(entry(digest=digest("x")), digest("y"))
    assert not reused(entry(digest=digest("x")), digest("x"))
    assert not reused(entry(), digest("y"))
    assert not reused(None, digest("y"))


def test_entries_are_found_by_number() -> None:
    assert entry_of([entry(1), entry(2)], 2) == entry(2)
    assert entry_of([entry(1)], 2) is None


def test_only_volumes_have_claims() -> None:
    assert claim_of("pvc://shelf/a/b") == "shelf"
    assert claim_of("s3://bucket/a") is None
