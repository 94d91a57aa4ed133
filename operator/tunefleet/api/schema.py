"""The base of every API model: camelCase outside, snake_case inside, frozen, unknown fields refused.

Unknown fields are refused when an object is *built* here, never when one is read back from the API server:
a newer CRD may know more than this process, so `read` drops what it does not know.
"""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel


class Schema(PydanticModel):
    """A frozen API structure; `dump` gives the JSON that Kubernetes stores."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Parse what the API server sent. Raises pydantic.ValidationError for what its schema would refuse."""
        return cls.model_validate(value)

    def dump(self) -> dict[str, Any]:
        """JSON-ready, camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
