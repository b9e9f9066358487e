"""What all views of our API have in common, in a project with an API of its own too."""

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.settings import DEFAULTS, IMPORT_STRINGS, APISettings

from .rest import REST

OURS = APISettings(REST, DEFAULTS, IMPORT_STRINGS)


class Negotiation(DefaultContentNegotiation):
    settings = OURS


class OurRest:
    """To be named before REST framework's own view: the project's defaults do not count."""

    settings = OURS
    authentication_classes = OURS.DEFAULT_AUTHENTICATION_CLASSES
    permission_classes = OURS.DEFAULT_PERMISSION_CLASSES
    parser_classes = OURS.DEFAULT_PARSER_CLASSES
    renderer_classes = OURS.DEFAULT_RENDERER_CLASSES
    content_negotiation_class = Negotiation
    schema = OURS.DEFAULT_SCHEMA_CLASS()
