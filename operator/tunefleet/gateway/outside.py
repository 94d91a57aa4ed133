"""What of a request leaves the fleet for an external upstream, and what of its answer comes in. No I/O.

Engines get every line of a request's head, as they are part of the same trust. A provider gets those that say how to
read the body and how to answer, from a list: credentials go by many names (x-api-key, api-key, cookie), and what
proxies in between add tells of people and networks.
"""

import re
from typing import Final

from .pods import Pod
from .request_head import RequestHead

API: Final = b"/v1"
"""What every path of the public API begins with, and what a base URL stands for."""

_LEAVING: Final = re.compile(
    rb"^(?:accept|accept-encoding|accept-language|content-encoding|content-type|user-agent|openai-beta"
    rb"|anthropic-version|anthropic-beta):[^\r]*\r\n",
    re.IGNORECASE | re.MULTILINE,
)
_STAYING: Final = re.compile(
    rb"^(?:set-cookie|openai-organization|openai-project):[^\r]*\r\n", re.IGNORECASE | re.MULTILINE
)
"""The provider's cookies are no concern of clients, nor is whose account it is."""


def outgoing_start(head: RequestHead, pod: Pod) -> bytes:
    """The request line with the path below the upstream's base URL, its Host, and the lines that may leave."""
    path = head.target.removeprefix(API)
    lines = b"".join(_LEAVING.findall(head.kept))
    return b"%b %b%b HTTP/1.1\r\n%b%b" % (head.method.encode(), pod.prefix, path, pod.host_line, lines)


def incoming_lines(lines: bytes) -> bytes:
    """Lines of an answer's head without those that are between the provider and us."""
    return _STAYING.sub(b"", lines)
