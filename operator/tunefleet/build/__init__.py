"""From decisions to Kubernetes objects, pure: one builder a file, and what of it has to be written."""
