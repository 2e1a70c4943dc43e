"""Files to documents: one module a form, and what the forms share; `detect.py` has the list of them."""
