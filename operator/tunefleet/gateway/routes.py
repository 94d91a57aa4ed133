"""The public paths. What is not here does not exist: engines have admin routes that must never be reached."""

from dataclasses import replace
from typing import Final
from urllib.parse import unquote

from tunefleet.plan.route_table import Route

from .access import Tenant
from .answers import Answer, one_model
from .errors import no_route, unknown_model, wrong_method
from .request_head import RequestHead
from .state import GatewayState

ENGINE_PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/tokenize",
    "/detokenize",
)
"""Forwarded to engines; POST only. Each names its model in the body, and an engine that lacks a path says so itself."""
MODELS_PATH: Final = "/v1/models"
HEALTH_PATH: Final = "/healthz"

READ: Final = ("GET", "HEAD")

_ENGINE_PATHS: Final = frozenset(ENGINE_PATHS)
_PREFIX: Final = "/v1"
_KNOWN: Final = frozenset([*ENGINE_PATHS, MODELS_PATH, HEALTH_PATH])


def goes_to_engine(head: RequestHead) -> bool:
    """Whether an engine answers this. Raises Refusal for another method."""
    if head.path not in _ENGINE_PATHS:
        return False
    if head.method != "POST":
        raise wrong_method(head.method, head.path, "POST")
    return True


def needs_key(head: RequestHead) -> bool:
    """Whether only tenants get an answer: to all but the probe of load balancers."""
    return head.path != HEALTH_PATH


def answer_here(head: RequestHead, state: GatewayState, tenant: Tenant) -> Answer:
    """The gateway's own answer. Raises Refusal for paths that do not exist, and for models that the tenant may not
    see: as if they did not exist."""
    path = head.path
    name = path.removeprefix(MODELS_PATH + "/")
    if path not in {MODELS_PATH, HEALTH_PATH} and (name == path or not name):
        raise no_route(head.method, path, _advice(path))
    if head.method not in READ:
        raise wrong_method(head.method, path, ", ".join(READ))
    if path == HEALTH_PATH:
        return Answer(200, b"ok\n", "text/plain; charset=utf-8")
    if path == MODELS_PATH:
        return state.models(tenant)
    return _model(unquote(name), state, tenant)


def _model(name: str, state: GatewayState, tenant: Tenant) -> Answer:
    """Of a served name, and of all others that requests may name: NAME@vN and exact versions."""
    route = state.routes.get(name)
    if route is not None and tenant.sees(route):
        for model in state.table.models:
            if model.name == route.served_name:
                return one_model(model if name == model.name else replace(model, name=name, engine_names=_exact(route)))
    raise unknown_model(name)


def _exact(route: Route) -> tuple[str, ...]:
    return tuple([target.engine_name for target in route.targets if target.backends])


def _advice(path: str) -> str:
    """What to write instead of a path that does not exist: for the mistakes in base URLs by name, else all paths."""
    plain = "/" + "/".join(part for part in path.split("/") if part)
    if plain in _KNOWN:
        return f"write {plain}, without further slashes"
    if _PREFIX + plain in _KNOWN:
        return f"put {_PREFIX} into the client's base URL, which makes it {_PREFIX}{plain}"
    once = plain.removeprefix(_PREFIX)
    if once in _KNOWN:
        return f"leave one {_PREFIX} out of the client's base URL, which makes it {once}"
    if plain.startswith("/v1/responses/"):
        return "responses are not stored, so send the whole conversation with each POST /v1/responses"
    engine = ", ".join(ENGINE_PATHS)
    return f"use POST with one of {engine}, or GET with {MODELS_PATH} or {MODELS_PATH}/{{id}}"
