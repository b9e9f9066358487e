"""The API's door to retention."""

from rest_framework.request import Request
from rest_framework.response import Response

from ..api.permissions import VIEW
from ..api.schema import describe
from ..api.views import ApiView
from .serializers import RetentionSerializer
from .view import shown


class RetentionView(ApiView):
    needs = {"GET": VIEW}

    @describe(RetentionSerializer)
    def get(self, request: Request) -> Response:
        """Tell how long what has ended is kept, and how many tasks and bytes would go now."""
        return Response(shown())
