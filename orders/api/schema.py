"""The OpenAPI document: made from the Pydantic models, what the actions say of themselves, and the registry of codes."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from pydantic import BaseModel
from pydantic.json_schema import model_json_schema

from orders.api.permissions import ANYONE, MARKET_DATA, Need, action_of
from orders.codes import CODES
from orders.schemas.problems import Problem
from orders.schemas.query import NoQuery

PROBLEM_JSON = "application/problem+json"
KEY_SCHEME = "apiKey"
SESSION_SCHEME = "session"

# What may be wrong with a new order beyond its form, before the engine sees it.
REQUEST_ERRORS = ("unknown_symbol", "duplicate_client_order_id")
# What may happen to a new order, beyond a request that is wrong in itself.
PLACING_ERRORS = (
    *REQUEST_ERRORS,
    *("market_halted", "market_closed", "market_not_continuous", "account_halted", "account_reducing_only"),
    *("price_not_on_tick", "quantity_not_on_step", "quantity_below_minimum", "display_quantity_too_small"),
    *("price_collar", "risk_max_quantity", "risk_max_notional", "risk_max_open_orders", "risk_max_position"),
    *("too_many_trailing_stops", "insufficient_funds", "linked_order_refused", "post_only_would_cross"),
    *("rate_limited", "engine_unavailable", "command_expired", "engine_timeout"),
)
# What may happen anywhere, with credentials, and with a body.
COMMON_ERRORS = ("invalid_request", "internal_error")
PRIVATE_ERRORS = ("not_authenticated", "permission_denied")
BODY_ERRORS = ("request_too_large", "unsupported_media_type")

_PATH_PARAMETERS = {
    "symbol": "An instrument's symbol, such as `ACME-USD`.",
    "order_id": "The id the service gave the order.",
    "client_order_id": "The id the client gave the order.",
}

_REPLAYED = OpenApiParameter(
    "Idempotency-Replayed",
    {"type": "string", "const": "true"},
    OpenApiParameter.HEADER,
    description="This request was seen before.",
    response=[200],
)
_IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The version the order must have, in quotes: `"3"`. It is the `ETag` of every order answer.',
)


def documented(
    operation_id: str,
    summary: str,
    response: type[BaseModel],
    *,
    tag: str,
    need: Need,
    query: type[BaseModel] = NoQuery,
    request: type[BaseModel] | None = None,
    status: int = 200,
    replayed: bool = False,
    if_match: bool = False,
    errors: tuple[str, ...] = (),
) -> Callable[[Any], Any]:
    """Say of one action who may do it, what it takes and what it answers: checked at each request, and documented.

    The text below the summary is the action's docstring. ``errors`` are the codes it may answer beyond those that its
    credentials and body imply. ``replayed``: it may also answer 200 with ``Idempotency-Replayed``. ``if_match``: it takes a
    version.
    """
    responses: dict[Any, Any] = {status: OpenApiResponse(response, description="Done.")}
    parameters = []
    if replayed:
        responses[200] = OpenApiResponse(response, description="Known already: the order as it stands now.")
        parameters.append(_REPLAYED)
    if if_match:
        parameters.append(_IF_MATCH)

    def describe(method: Any) -> Any:
        method.need = need
        method.query = query
        method.documented_errors = (*errors, *COMMON_ERRORS, *(BODY_ERRORS if request else ()))
        method.documented_text = " ".join((method.__doc__ or "").split())
        return extend_schema(
            operation_id=operation_id,
            summary=summary,
            tags=[tag],
            request=request,
            responses=responses,
            parameters=parameters,
        )(method)

    return describe


class ApiSchema(AutoSchema):
    """Adds what the action says itself (``documented``): parameters, security, errors as problems."""

    def _action(self) -> Any:
        return action_of(self.view, self.method)

    def _is_list_view(self, serializer: Any = None) -> bool:
        """Lists are pages, whose model says so itself."""
        return False

    def get_override_parameters(self) -> list[OpenApiParameter]:
        model = self._action().query
        in_path = [
            OpenApiParameter(name, str, OpenApiParameter.PATH, description=text)
            for name, text in _PATH_PARAMETERS.items()
            if f"{{{name}}}" in self.path
        ]
        return [*in_path, *_query_parameters(model)]

    def get_auth(self) -> list[dict[str, list[str]]]:
        need: Need = self._action().need
        if need is ANYONE:
            return [{}]
        # Market data may be had without any, unless the service is set up otherwise.
        return [{KEY_SCHEME: []}, {SESSION_SCHEME: []}, *([{}] if need is MARKET_DATA else [])]

    def get_description(self) -> str:
        need: Need = self._action().need
        scope = f"Needs the scope `{'` or `'.join(need.scopes)}`." if need.scopes and need is not MARKET_DATA else ""
        text = self._action().documented_text
        return " ".join(part for part in (text, scope) if part)

    def _get_response_bodies(self, direction: str = "response") -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        codes = self._action().documented_errors
        if self._action().need is not ANYONE:
            codes = (*codes, *PRIVATE_ERRORS)
        by_status: dict[int, list[str]] = {}
        for name in dict.fromkeys(codes):
            by_status.setdefault(CODES[name].status, []).append(name)
        for status, names in sorted(by_status.items()):
            text = "; ".join(f"`{name}`: {CODES[name].title}" for name in names)
            response = OpenApiResponse(Problem, description=text)
            bodies[str(status)] = self._get_response_for_code(response, str(status), [PROBLEM_JSON], direction)
        return bodies


def _query_parameters(model: type[BaseModel]) -> list[OpenApiParameter]:
    schema = model_json_schema(model)
    return [
        OpenApiParameter(
            name,
            {key: value for key, value in field.items() if key not in ("title", "default")}
            | ({"default": field["default"]} if field.get("default") is not None else {}),
            OpenApiParameter.QUERY,
            required=name in schema.get("required", ()),
            description=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


class PydanticModels(OpenApiSerializerExtension):
    """Like spectacular's own, but a request's fields with defaults are optional there."""

    target_class = "pydantic.BaseModel"
    match_subclasses = True
    priority = 1

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        return self.target.__name__

    def get_identity(self, auto_schema: AutoSchema, direction: str) -> Any:
        return self.target.__name__

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        mode = "validation" if direction == "request" else "serialization"
        schema = model_json_schema(self.target, ref_template="#/components/schemas/{model}", mode=mode)
        for name, part in schema.pop("$defs", {}).items():
            component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=part)
            auto_schema.registry.register_on_missing(component)
        return schema


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "orders.api.authentication.ApiKeyAuthentication"
    name = KEY_SCHEME

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key: `Authorization: Bearer oms_…`"}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "orders.api.authentication.SessionAuthentication"
    name = SESSION_SCHEME

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A signed-in browser; anything but a GET also needs the header `X-CSRFToken`.",
        }
