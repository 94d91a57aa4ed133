"""What a kubeconfig says, by the Kubernetes library; imported only where one is used."""

from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio import config as kubernetes_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yaml import YAMLError

from .credentials import NoClusterError, Server


async def of_kubeconfig(path: str | None, context: str | None) -> Server:
    """The file's server, else that of KUBECONFIG or ~/.kube/config; by this context, else by its current one.

    Raises NoClusterError with a sentence that says what is missing.
    """
    configuration = type.__call__(Configuration)
    try:
        await kubernetes_config.load_kube_config(  # type: ignore[no-untyped-call,unused-ignore]
            config_file=path, context=context, client_configuration=configuration, persist_config=False
        )
        return _server(configuration)
    except (kubernetes_config.ConfigException, OSError, YAMLError, TypeError) as error:  # TypeError: no mapping
        raise NoClusterError(str(error)) from error


def _server(configuration: Any) -> Server:
    token: str | None = configuration.api_key.get("BearerToken")
    rest: Any = RESTClientObject(configuration)  # type: ignore[no-untyped-call,unused-ignore]
    return Server(
        configuration.host,
        lambda: token,
        rest.ssl_context,
        configuration.tls_server_name,
        configuration.proxy or _proxy(configuration.host),
    )


def _proxy(url: str) -> str | None:
    """Of HTTPS_PROXY, HTTP_PROXY and NO_PROXY; looked at once, where aiohttp would start a thread for each request."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
