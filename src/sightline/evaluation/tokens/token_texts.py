"""Tokens as text and scores as rounded numbers, for JSON."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .top_tokens import TopTokens


class TokenTexts:
    """Tokens as text; alternatives refer to one table of all of them."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}
        self._places: dict[int, int] = {}

    def text(self, token: int) -> str:
        """A token's own text; part of a character decodes to U+FFFD."""
        if token not in self._texts:
            self._texts[token] = self._tokenizer.decode([token])
        return self._texts[token]

    @property
    def vocabulary(self) -> list[str]:
        """The texts that alternatives refer to, each once."""
        return [self.text(token) for token in self._places]

    def alternatives(self, found: TopTokens, row: int, part: slice) -> list[list[float]]:
        """Per token [place in the vocabulary, probability, place, probability, ...], likeliest first."""
        listed = []
        for tokens, shares in zip(
            found.tokens[row, part].tolist(), found.probabilities[row, part].tolist(), strict=True
        ):
            places = [self._places.setdefault(token, len(self._places)) for token in tokens]
            pairs = zip(places, (short(share, 4) for share in shares), strict=True)
            listed.append([value for pair in pairs for value in pair])
        return listed


def plain(values: Tensor) -> list[float]:
    """Six significant digits, which is more than anything shows."""
    return [short(value, 6) for value in values.tolist()]


def short(value: float, digits: int) -> float:
    """`value` to so many significant digits."""
    return float(f"{value:.{digits}g}")
