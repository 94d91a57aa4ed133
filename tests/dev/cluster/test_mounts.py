"""Mount points below a directory are found, deepest first, whatever characters they hold."""

from pathlib import Path

from dev.cluster import mounts

TABLE = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:30 / /state rw shared:1 - tmpfs tmpfs rw
31 30 0:31 / /state/kubelet/pods/a/volumes/token rw - tmpfs tmpfs rw
32 30 0:32 / /state/with\040space\011tab\134 rw - tmpfs tmpfs rw
33 22 0:33 / /state-of-another rw - tmpfs tmpfs rw
"""


def test_only_what_lies_below_deepest_first() -> None:
    assert mounts.below(Path("/state"), TABLE) == [
        Path("/state/with space\ttab\\"),
        Path("/state/kubelet/pods/a/volumes/token"),
        Path("/state"),
    ]


def test_nothing_below() -> None:
    assert mounts.below(Path("/elsewhere"), TABLE) == []
