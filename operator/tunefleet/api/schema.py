"""The base of every API model: camelCase outside, snake_case inside, frozen.

`read` drops fields that it does not know: a newer CRD may know more than this process. The API server refuses or prunes
them for users.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from .validation import Rule, checked


def _with_rules(schema: dict[str, Any], model: type["Schema"]) -> None:
    if model.rules:
        schema |= checked(*model.rules)


class Schema(PydanticModel):
    """A frozen API structure; `dump` gives the JSON that Kubernetes stores."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        json_schema_extra=_with_rules,
        defer_build=True,  # processes import every kind, and each validates but some; a validator takes 100 KB
    )

    rules: ClassVar[tuple[Rule, ...]] = ()
    """What the API server checks of the whole structure, beyond the types of its fields."""

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Parse what the API server sent. Raises pydantic.ValidationError for what its schema would refuse."""
        return cls.model_validate(value)

    def dump(self) -> dict[str, Any]:
        """JSON-ready, camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
