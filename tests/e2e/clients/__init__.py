"""Programs that use clients which live in environments of their own; each prints one JSON object."""
