"""The command line: history, promotion, roll-back and comparison, by patches of the user's own objects alone."""
