"""Documents to features: word pieces, markers and pairs, made once and kept in files that are memory-mapped."""
