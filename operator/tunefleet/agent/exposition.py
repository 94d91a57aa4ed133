"""The agent's /metrics in the Prometheus text format: a handful of gauges, all read from the report."""

from collections import Counter

from tunefleet.engine.adapters_api import AdaptersReport, AdapterState


def exposition(report: AdaptersReport) -> str:
    """The metrics page."""
    states = Counter(adapter.state for adapter in report.adapters)
    seconds = [(a.engine_name, a.load_seconds) for a in report.adapters if a.load_seconds is not None]
    lines = [
        "# HELP tunefleet_agent_engine_ready Whether the engine answered a completion since its last start.",
        "# TYPE tunefleet_agent_engine_ready gauge",
        f"tunefleet_agent_engine_ready {int(report.engine.ready)}",
        "# HELP tunefleet_agent_engine_starts_total Engine starts seen by this agent.",
        "# TYPE tunefleet_agent_engine_starts_total counter",
        f"tunefleet_agent_engine_starts_total {report.engine.starts}",
        "# HELP tunefleet_agent_adapters Adapters by state.",
        "# TYPE tunefleet_agent_adapters gauge",
        *(f'tunefleet_agent_adapters{{state="{state}"}} {states[state]}' for state in AdapterState),
        "# HELP tunefleet_agent_load_seconds Seconds of an adapter's last load, the probe included.",
        "# TYPE tunefleet_agent_load_seconds gauge",
        *(f'tunefleet_agent_load_seconds{{adapter="{name}"}} {value}' for name, value in seconds),
    ]
    return "\n".join(lines) + "\n"
