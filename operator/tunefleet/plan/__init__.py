"""Every decision, pure: facts and the time in, a Plan out. No clock, network, framework or client."""
