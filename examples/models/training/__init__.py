"""How the example models are made: data in `data/`, versions in `recipe.py`, the command in `../train.py`."""
