"""Our go.mod takes over what Kubernetes' own says, with the staging modules as they were published."""

from dev.builds import kubernetes

UPSTREAM = """module k8s.io/kubernetes

go 1.25.0

godebug default=go1.25

require (
	k8s.io/api v0.0.0
	k8s.io/klog/v2 v2.130.1
	k8s.io/kubectl v0.0.0
	k8s.io/utils v0.0.0-20250604170112-4c0f3b243397
)

replace k8s.io/api => ./staging/src/k8s.io/api
"""


def test_staging_modules_are_replaced_by_their_published_versions() -> None:
    lines = kubernetes.go_mod(UPSTREAM, "1.35.4").splitlines()

    assert [line for line in lines if line.startswith("replace")] == [
        "replace k8s.io/api => k8s.io/api v0.35.4",
        "replace k8s.io/kubectl => k8s.io/kubectl v0.35.4",
    ]
    assert "require k8s.io/kubernetes v1.35.4" in lines


def test_language_version_and_debug_settings_are_kept() -> None:
    lines = kubernetes.go_mod(UPSTREAM, "1.35.4").splitlines()

    assert "go 1.25.0" in lines
    assert "godebug default=go1.25" in lines


def test_a_block_of_debug_settings_is_kept_whole() -> None:
    block = "godebug (\n\tdefault=go1.25\n\tx509=1\n)"

    assert block in kubernetes.go_mod(UPSTREAM.replace("godebug default=go1.25", block), "1.35.4")


def test_binaries_know_their_version() -> None:
    flags = kubernetes.ldflags("1.35.4")

    assert "version.gitVersion=v1.35.4" in flags
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=35" in flags
