"""The commands of `bench`, one module each; `bench.cli` puts them together."""
