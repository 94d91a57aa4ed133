"""The data plane: OpenAI requests in, spliced bytes to the engine that holds the version, the engine's bytes out."""
