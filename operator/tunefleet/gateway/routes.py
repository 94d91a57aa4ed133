"""The public paths. What is not here does not exist: engines have admin routes that must never be reached."""

from urllib.parse import unquote

from .access import Tenant
from .answers import Answer, one_model
from .errors import no_route, unknown_model, wrong_method
from .request_head import RequestHead
from .state import GatewayState

ENGINE_PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Forwarded to engines; POST only."""
MODELS_PATH = "/v1/models"
HEALTH_PATH = "/healthz"

READ = ("GET", "HEAD")


def goes_to_engine(head: RequestHead) -> bool:
    """Whether an engine answers this. Raises Refusal for another method."""
    if head.path not in ENGINE_PATHS:
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
        raise no_route(head.method, path)
    if head.method not in READ:
        raise wrong_method(head.method, path, ", ".join(READ))
    if path == HEALTH_PATH:
        return Answer(200, b"ok\n", "text/plain; charset=utf-8")
    if path == MODELS_PATH:
        return state.models(tenant)
    return _model(unquote(name), state, tenant)


def _model(name: str, state: GatewayState, tenant: Tenant) -> Answer:
    answer = one_model(state.visible(tenant), name)
    if answer is None:
        raise unknown_model(name)
    return answer
