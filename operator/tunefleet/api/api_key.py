"""The policy of an API key: what its holder may see and use. It lies in a Secret, as YAML or JSON under `policy`.

Unlike the three kinds, nothing checks it before it is stored, so a field that is not known is an error here: a limit
with a slip in its name would be no limit.
"""

from typing import Annotated

import yaml
from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from .common import LabelValue, ObjectName
from .names import GROUP
from .schema import Schema

SECRET_TYPE = f"{GROUP}/api-key"
"""`type` of a Secret that holds one tenant's keys; its name is the tenant's."""
HASHES = "hashes"
"""Entry of its data: one line for each key, the key's sha256 in hexadecimal and, after a blank, when it expires."""
POLICY = "policy"
"""Entry of its data: an ApiKeyPolicy. Without it, everything is allowed."""
MAX_POLICY_BYTES = 64 * 1024

_NAME = Annotated[str, Field(max_length=101, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*\*?|\*)$")]
_LIMIT = Annotated[int, Field(ge=1, le=1_000_000_000)]


class _Strict(Schema):
    model_config = ConfigDict(extra="forbid")


class ModelSelector(_Strict):
    """Selects models by the labels of the object that owns the name."""

    match_labels: dict[str, LabelValue] = Field(default={}, max_length=16)
    """Labels that the LoRAAdapter or BaseModel must have, all of them."""


class ModelRule(_Strict):
    """Selects models. What is given must all fit; an empty rule selects every model."""

    names: tuple[_NAME, ...] = Field(default=(), max_length=1000)
    """Served names; a trailing `*` stands for whatever follows. A name allows all its versions."""
    namespaces: tuple[ObjectName, ...] = Field(default=(), max_length=64)
    """Namespaces of the LoRAAdapter or BaseModel."""
    selector: ModelSelector = ModelSelector()
    """Labels of the LoRAAdapter or BaseModel. Whoever may label it, decides with it who sees it."""


class ApiKeyPolicy(_Strict):
    """What the holder of a key may see and use. Everything, where nothing is said."""

    models: tuple[ModelRule, ...] | None = Field(default=None, max_length=64)
    """Models that exist for the holder: those that any of the rules selects. Without it all, if empty none."""
    requests_per_minute: _LIMIT | None = None
    """Requests to engines; as many may come at once, and they grow back evenly over a minute."""
    tokens_per_minute: _LIMIT | None = None
    """Tokens of prompts and completions together, as engines count them."""
    max_concurrent_requests: _LIMIT | None = None
    """Requests at engines, or waiting for one, at the same time."""
    expires: AwareDatetime | None = None
    """When every key of the holder ends, with its time zone: `2027-01-31T00:00:00Z`. A single key may end sooner."""


def read_policy(text: str) -> ApiKeyPolicy:
    """Parse what is stored under POLICY. Raises ValueError that says which field is wrong, and why."""
    if len(text.encode()) > MAX_POLICY_BYTES:
        raise ValueError(f"{POLICY} is larger than {MAX_POLICY_BYTES} bytes")
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{POLICY} is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    try:
        return ApiKeyPolicy.model_validate({} if found is None else found)
    except ValidationError as error:
        raise ValueError("; ".join(_faults(error))) from None


def _faults(error: ValidationError) -> list[str]:
    return [
        f"{'.'.join((POLICY, *map(str, fault['loc'])))}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]
