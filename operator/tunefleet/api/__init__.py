"""What users write and read: the three kinds, their conditions and reasons, source URIs and names."""
