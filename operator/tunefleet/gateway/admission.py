"""Whether a request may go to an engine, in the order in which callers are told: who they are, what they ask for, how
often they may."""

from .access import Access, Tenant
from .client import Client
from .deadly_fields import refuse_deadly_fields
from .errors import Refusal, unknown_model
from .exchange import Exchange
from .model_field import find_model
from .record import Record
from .request_head import RequestHead
from .request_reader import Request
from .state import GatewayState


def admit(state: GatewayState, client: Client, request: Request, record: Record) -> Exchange:
    """What becomes of a request that an engine answers. Raises Refusal."""
    head, body = request.head, request.body
    tenant = tenant_of(state.access, head)
    record.tenant = tenant
    if head.encoded:
        raise Refusal(415, "Send the body without Content-Encoding.", "unsupported_encoding")
    model = find_model(body)
    refuse_deadly_fields(head.path, model.fields)
    route = state.routes.get(model.name)
    if route is None or not tenant.sees(route):
        raise unknown_model(model.name)
    record.served_name = model.name
    tenant.begin(record.started, len(body))
    record.admitted = True
    return Exchange(state, client, request, model, route, record)


def tenant_of(access: Access, head: RequestHead) -> Tenant:
    """Whose credentials these are; known heads remember it. Raises Refusal."""
    tenant = head.tenant
    if tenant is None or head.tenant_generation != access.generation:
        tenant = access.tenant_of(head.authorization, head.api_key)
        head.tenant = tenant
        head.tenant_generation = access.generation
    return tenant
