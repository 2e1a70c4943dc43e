"""`python -m bench`: the same as `bench`."""

from bench.cli.main import main

main()
