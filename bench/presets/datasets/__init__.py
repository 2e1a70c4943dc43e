"""Settings that come with a data set, by its name."""
