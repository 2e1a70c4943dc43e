"""From what the user typed to planned runs: the command line over a file over a preset over a recipe."""
