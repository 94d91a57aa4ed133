"""What the local cluster is made of, built from Go modules: one file for each thing, one directory per version."""
