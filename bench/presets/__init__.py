"""Settings that come with a data set: NAME.toml is applied where NAME is run."""
