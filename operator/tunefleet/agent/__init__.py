"""The process beside each engine: fetches, checks, loads, proves, and loads again after the engine restarts."""
