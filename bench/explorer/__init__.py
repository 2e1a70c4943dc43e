"""The error explorer: runs and the documents they were evaluated on, as one page that needs no server.

runs.py       run folders -> Exploration: documents, and what each run made of them
encoding.py   -> the data of the page, as little of it as can be
page.py       -> one HTML file; page.html, page.css and script/ are its parts
"""
