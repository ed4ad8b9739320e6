"""Everything below ``/api/v1`` that is not there."""

from typing import Any, NoReturn

from rest_framework.exceptions import NotFound

from orders.api.base import ApiView


class MissingView(ApiView):
    """404 for any method, before asking who it is. Answers the same with ``OMS_DEBUG``, where Django would draw a page."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotFound
