"""What all requests have in common: no field that is not known."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from rest_framework import serializers

from ..parsers import shown

LONGEST_NAME = 255


class StrictSerializer(serializers.Serializer):
    """Refuses names that it does not know, rather than ignore a misspelt option."""

    def to_internal_value(self, data: Any) -> Any:
        errors = self._unknown(data) if isinstance(data, Mapping) else {}
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**errors, **error.detail}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return values

    def _unknown(self, data: Mapping[str, Any]) -> dict[str, list[str]]:
        return {
            shown(name)[:100]: [f"There is no such field.{_hint(name, self.fields)}"]
            for name in data
            if name not in self.fields
        }


def _hint(name: str, known: Mapping[str, Any]) -> str:
    guess = get_close_matches(name[:100], list(known), n=1)
    if guess:
        return f" Did you mean {guess[0]}?"
    return f" Known are: {', '.join(known)}." if known else ""
