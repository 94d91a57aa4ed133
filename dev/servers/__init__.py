"""Servers from Python and Node packages that tests run against, kept in the cache: one file for each."""
