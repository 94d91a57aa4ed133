"""Tools for working on Tunefleet: a local cluster, its images and the demo. Run from the checkout, never installed."""
