"""The commands of `bench`, one module each; `main.py` puts them together."""
