"""Where weights come from: pin, list, fetch, verify, inspect. Everything a source sends is taken for hostile."""
