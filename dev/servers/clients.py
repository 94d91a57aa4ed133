"""Clients of the gateway's API that nobody here wrote; openai for Python is a dependency of the tests themselves."""

from dev.servers.packages import NodePackage, PythonPackage

OPENAI_FOR_NODE = NodePackage("openai", "7.57.0")
ANTHROPIC = PythonPackage("anthropic", "2.12.0")
LITELLM = PythonPackage("litellm", "1.106.2")
