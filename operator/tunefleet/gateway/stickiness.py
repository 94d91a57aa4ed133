"""Which version answers while several share a name: by weight, and always the same one for a session.

Each session has a point on a line of POINTS, and the versions lie on it one after the other, each as long as its
weight. A canary lies at one end, so the sessions that it has stay with it when its weight grows. A version that no
engine holds gives its part of the line to the others in proportion; their own sessions stay where they are.
"""

import random
from collections.abc import Sequence
from hashlib import blake2b

from tunefleet.plan.route_table import Target

from .body_fields import read_user

POINTS = 10_000
"""A weight of one percent is a hundred points."""


def point_of(header: bytes | None, body: bytes, served_name: str) -> int:
    """A request's point, 0 to POINTS-1: that of its session, or any when it names none.

    `header` is x-tunefleet-session; without it the string `user` of the body's outermost object is the session.
    """
    session = header or read_user(body)
    if not session:
        return random.randrange(POINTS)  # noqa: S311 - a share of traffic
    return session_point(session, served_name)


def session_point(session: bytes, served_name: str) -> int:
    """The same in every process and on every machine; independent between names."""
    digest = blake2b(served_name.encode() + b"\0" + session, digest_size=8).digest()
    return int.from_bytes(digest, "big") % POINTS


def draw(targets: Sequence[Target], point: int) -> Target | None:
    """The version at this point, of those that some engine holds; None when none does."""
    rest = point * sum([target.weight for target in targets])
    for target in targets:
        length = target.weight * POINTS
        if rest < length:
            if target.backends:
                return target
            return draw([other for other in targets if other is not target], rest // target.weight)
        rest -= length
    return None
