"""How does one command act on many runs?"""
