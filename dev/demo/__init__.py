"""The demo: from three objects to answers from real vLLM, and back by one patch."""
