"""vLLM's dialect in one place: flags, environment, admin routes, error shapes, metric names, and the agent's API."""
