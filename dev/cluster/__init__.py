"""A Kubernetes cluster on this machine: kind where there is Docker, else one of its own processes."""
