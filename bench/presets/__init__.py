"""Published tables as experiments: `bench run --config NAME`."""
