"""How does one command act on many runs, one after the other?"""
