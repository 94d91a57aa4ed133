"""Container images: built from the Dockerfiles that users use, kept as an OCI layout, loaded piece by piece."""
