"""Docstrings of members."""

from enum import StrEnum

import pytest

from tunefleet.api.vocabulary import Word, words


class Colour(StrEnum):
    """Colours."""

    RED = "Red"
    """Like
    blood."""

    # Of the sky:
    BLUE = "Blue"
    """Like the sky."""


class Silent(StrEnum):
    """Without words."""

    ONE = "One"


def test_words() -> None:
    assert words(Colour) == (Word("", "Red", "Like blood."), Word("Of the sky", "Blue", "Like the sky."))


def test_member_without_a_docstring() -> None:
    with pytest.raises(ValueError, match="ONE = 'One' has no docstring"):
        words(Silent)
