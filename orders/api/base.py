"""What every view of the API has in common."""

import re
from typing import Any, NoReturn

from pydantic import BaseModel
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSetMixin

from orders.actors import Actor
from orders.api.permissions import action_of
from orders.api.renderers import JSONOnly
from orders.api.schema import ApiSchema
from orders.schemas.problems import ProblemError, invalid
from orders.schemas.query import NoQuery

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_SYMBOL = re.compile(r"[!-~]{1,32}", re.ASCII)
# An entity tag: `"3"`, `W/"3"`, or `*`.
_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]{0,64})"', re.ASCII)
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class ApiRequest(Request):
    """A request whose body is read also where it comes in pieces and does not say how long it is."""

    def _load_stream(self) -> None:
        if self._request._read_started:
            super()._load_stream()
        else:
            self._stream = self._request


class ApiView(APIView):
    """What every resource has in common. Its actions say by ``schema.documented`` who may do them and what they take."""

    http_method_names = ["get", "head", "post", "patch", "delete"]
    content_negotiation_class = JSONOnly
    throttle_classes = ()
    versioning_class = None
    metadata_class = None
    schema = ApiSchema()

    def initialize_request(self, request: Any, *args: Any, **kwargs: Any) -> ApiRequest:
        return ApiRequest(
            request,
            parsers=self.get_parsers(),
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context={"view": self, "kwargs": kwargs},
        )

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Renders at once and forgets: view, request and answer refer to each other, and would wait for garbage collection."""
        response = super().dispatch(request, *args, **kwargs)
        if isinstance(response, Response):
            response.render()
            response.renderer_context = None
        self.request.parser_context = None
        self.__dict__.clear()
        return response

    def initial(self, request: ApiRequest, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.query = read_query(request, getattr(action_of(self, request.method), "query", NoQuery))

    def http_method_not_allowed(self, request: ApiRequest, *args: Any, **kwargs: Any) -> NoReturn:
        raise MethodNotAllowed(request.method)

    @property
    def default_response_headers(self) -> dict[str, str]:
        """``Allow`` belongs to 405 answers; the exception handler's caller adds it there."""
        return {}

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.status_code == 405:
            response["Allow"] = ", ".join(self.allowed_methods)
        return response


class ApiViewSet(ViewSetMixin, ApiView):
    """Several actions on one kind of thing; ``urls`` maps methods of addresses to them."""


def read_query(request: Request, model: type[BaseModel]) -> BaseModel:
    """The parameters as ``model`` wants them. One that comes twice, or is unknown, is an error."""
    if not request._request.META.get("QUERY_STRING"):
        return model.model_validate({})
    found: dict[str, str] = {}
    for name, values in request.query_params.lists():
        if len(values) > 1:
            raise invalid(name[:64], "given more than once", "repeated")
        found[name] = values[0]
    return model.model_validate(found)


def actor_of(request: Request) -> Actor:
    """Who asks; only where ``needs`` demands credentials."""
    actor = request.auth
    assert actor is not None
    return actor


def path_order_id(text: str) -> int:
    """An id out of a path. Raises ``order_not_found`` for what cannot be one."""
    number = int(text) if _ID.fullmatch(text) else 0
    if not 0 < number < 2**63:
        raise ProblemError("order_not_found")
    return number


def path_symbol(text: str) -> str:
    """A symbol out of a path. Raises ``unknown_symbol`` for what cannot be one."""
    if _SYMBOL.fullmatch(text) is None:
        raise ProblemError("unknown_symbol")
    return text


def expected_version(request: Request) -> int:
    """The version in ``If-Match``, 0 for none or ``*``.

    A tag that no order can have is a conflict (RFC 9110: the condition is false), what is no tag an error.
    """
    header = request._request.META.get("HTTP_IF_MATCH", "").strip()
    if header in ("", "*"):
        return 0
    tag = _ENTITY_TAG.fullmatch(header)
    if tag is None:
        raise invalid("If-Match", 'must be one version in quotes, like "3"', "entity_tag")
    if _VERSION.fullmatch(tag[1]) is None:
        raise ProblemError("version_conflict")
    return int(tag[1])


def order_response(body: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """One order, with its version as entity tag."""
    return Response(body, status=status, headers={"ETag": f'"{body["version"]}"', **(headers or {})})
