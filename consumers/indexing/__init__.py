"""How does the search index follow the log, and hold nobody up?"""
