"""llama.cpp's own server in a Python wheel: an OpenAI-compatible engine that is not vLLM."""

from pathlib import Path

from dev.servers.packages import PythonPackage

PACKAGE = PythonPackage("xllamacpp", "2026.10.11549", others=("gguf==0.19.0",))
SCRIPT = Path(__file__).parent / "llama_cpp_server.py"


def command(package: Path, directory: Path, host: str, port: int, model: str, key: str) -> list[str | Path]:
    """Serve a tiny model, made in `directory`, under this name to those who have the key."""
    return [package / "bin" / "python", SCRIPT, directory, host, str(port), model, key]
