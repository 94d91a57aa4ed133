"""From events to writes: the store, the work queue, gather, execute; one file a concept, no kopf."""
