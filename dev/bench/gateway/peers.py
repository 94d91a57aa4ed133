"""The other proxies: how each is had and started, with one worker and its own defaults but for what a comment says."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dev.commands import CommandError
from dev.servers.packages import DebianPackage, PythonPackage, ensure

from .processes import Command, free_port

MANY = 1_000_000_000
"""Requests on a connection before it is closed: nginx closes after 1,000 and would pay for new ones."""


@dataclass(frozen=True)
class Setting:
    """What a peer stands between."""

    folder: Path
    """Its own, empty."""
    cache: Path
    port: int
    engines: Sequence[str]
    """HOST:PORT of each."""
    models: Sequence[str]
    """Names that may be asked for."""


@dataclass(frozen=True)
class Peer:
    """One proxy. `prepare` installs it, writes its files and gives its command; it raises what `absent` names."""

    name: str
    version: Callable[[], str]
    prepare: Callable[[Setting], Command]
    slow: bool = False
    """Takes milliseconds a request: fewer connections and rounds tell as much."""


ABSENT = (CommandError, LookupError, OSError)
"""What `version` and `prepare` raise where a peer cannot be had."""


def _nginx_package() -> DebianPackage:
    return DebianPackage.candidate("nginx", "nginx-common")


def nginx(setting: Setting) -> Command:
    """Unbuffered, as streams need it, with connections to engines kept: neither is its default."""
    root = ensure(_nginx_package(), setting.cache)
    servers = " ".join(f"server {engine};" for engine in setting.engines)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    scratch = " ".join(f"{kind}_temp_path {setting.folder / kind};" for kind in kinds)
    config = f"""
worker_processes 1; daemon off; error_log stderr error; pid {setting.folder}/pid; worker_rlimit_nofile 30000;
events {{ worker_connections 30000; }}
http {{
  access_log off; {scratch} keepalive_requests {MANY}; keepalive_timeout 600s;
  upstream engines {{ {servers} keepalive 256; keepalive_requests {MANY}; }}
  server {{
    listen 127.0.0.1:{setting.port} backlog=4096;
    location / {{
      proxy_pass http://engines; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; client_body_buffer_size 1m; proxy_read_timeout 600s;
    }}
  }}
}}
"""
    path = setting.folder / "nginx.conf"
    path.write_text(config)
    return Command.of(root / "usr/sbin/nginx", "-c", path, "-e", "stderr")


def _haproxy_package() -> DebianPackage:
    return DebianPackage.candidate("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")


def _haproxy(setting: Setting, frontend: str) -> Command:
    root = ensure(_haproxy_package(), setting.cache)
    servers = "\n".join(f"  server e{n} {engine}" for n, engine in enumerate(setting.engines))
    config = f"""
global
  nbthread 1
  maxconn 30000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
frontend clients
  bind 127.0.0.1:{setting.port} backlog 4096
{frontend}
  default_backend engines
backend engines
  http-reuse always
{servers}
"""
    path = setting.folder / "haproxy.cfg"
    path.write_text(config)
    (libraries,) = {str(found.parent) for found in (root / "usr/lib").glob("*/liblua5.3.so.0")}
    return Command.of(root / "usr/sbin/haproxy", "-f", path, LD_LIBRARY_PATH=libraries)


def haproxy(setting: Setting) -> Command:
    """It looks at nothing but the head."""
    return _haproxy(setting, "")


def haproxy_by_model(setting: Setting) -> Command:
    """It reads `model` out of the JSON and knows the names: 404 for others."""
    names = setting.folder / "models.map"
    names.write_text("".join(f"{name} engines\n" for name in setting.models))
    known = f"req.body,json_query('$.model'),map_str({names})"
    return _haproxy(
        setting,
        f"  option http-buffer-request\n  acl known {known} -m found\n"
        "  http-request return status 404 if { method POST } !known",
    )


VLLM_ROUTER = PythonPackage("vllm-router", "0.1.17")
LITELLM = PythonPackage("litellm[proxy]", "1.106.2")


def vllm_router(setting: Setting) -> Command:
    """Round robin: its other policies parse more."""
    root = ensure(VLLM_ROUTER, setting.cache)
    urls = [f"http://{engine}" for engine in setting.engines]
    return Command.of(
        root / "bin/vllm-router",
        *("--worker-urls", *urls, "--policy", "round_robin"),
        *("--host", "127.0.0.1", "--port", str(setting.port), "--log-level", "warning"),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())),
    )


LITELLM_MODELS = 50
"""With hundreds of names each request takes ten times longer, so more than these are one wildcard."""


def litellm(setting: Setting) -> Command:
    """Its OpenAI provider for each name on each engine; without a database and without a master key."""
    root = ensure(LITELLM, setting.cache)
    names = setting.models if len(setting.models) <= LITELLM_MODELS else ("*",)
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": f"openai/{name}", "api_base": f"http://{one}/v1", "api_key": "-"},
        }
        for name in names
        for one in setting.engines
    ]
    config = setting.folder / "litellm.yaml"
    config.write_text(yaml.safe_dump({"model_list": models}))
    return Command.of(
        root / "bin/litellm",
        *("--config", str(config), "--host", "127.0.0.1", "--port", str(setting.port)),
        *("--num_workers", "1", "--telemetry", "False"),
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_LOG="ERROR",
    )


def splice(setting: Setting) -> Command:
    """asyncio that copies bytes between two sockets and looks at none: what Python itself costs."""
    host, port = setting.engines[0].split(":")
    return Command.of(sys.executable, Path(__file__).with_name("splice.py"), str(setting.port), host, port)


PEERS = (
    Peer("nginx", lambda: _nginx_package().version, nginx),
    Peer("haproxy", lambda: _haproxy_package().version, haproxy),
    Peer("haproxy by model", lambda: _haproxy_package().version, haproxy_by_model),
    Peer("vllm-router", lambda: VLLM_ROUTER.version, vllm_router),
    Peer("litellm", lambda: LITELLM.version, litellm, slow=True),
    Peer("asyncio splice", lambda: ".".join(map(str, sys.version_info[:3])), splice),
)
