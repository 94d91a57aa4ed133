"""The operator process: kopf delivers events, and nothing else of kopf is used."""
