"""JSON as RFC 8259 has it, within bounds; everything else is refused with a sentence."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.status import HTTP_413_REQUEST_ENTITY_TOO_LARGE

from ..conf import conf


class BodyTooLarge(APIException):
    """The body has more bytes than ``max_body_bytes``."""

    status_code = HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"The body is larger than {conf().max_body_bytes} bytes.")


class StrictJSONParser(BaseParser):
    """Reads the body as JSON whatever its type says: curl says it is a form."""

    media_type = "*/*"

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        body = stream.read(conf().max_body_bytes + 1)
        if len(body) > conf().max_body_bytes:
            raise BodyTooLarge
        return parse(body)


def parse(body: bytes) -> Any:
    """Read JSON. Raise ParseError for what is none."""
    try:
        return json.loads(
            body.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ParseError("The body is nested too deeply.") from None
    except ValueError as error:  # also too many digits, and bytes that are no UTF-8
        raise ParseError(f"The body is not valid JSON: {shown(str(error))}") from None


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large a number.")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {twice[:50]!r} occurs twice in one object.")
    return found


def walk(value: Any) -> Iterator[Any]:
    """Every scalar and every object's name in a JSON value."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case dict() as names:
                yield from names
                waiting.extend(names.values())
            case list() as items:
                waiting.extend(items)
            case scalar:
                yield scalar


def shown(text: str) -> str:
    """Text that surely can be encoded: lone surrogates written as escapes."""
    return text.encode(errors="backslashreplace").decode()
