"""Tunefleet serves fleets of fine-tuned models on Kubernetes."""
