"""The report: tables (one model, four renderers) and figures (apart from their numbers), made from run records."""
