"""How do HTTP requests become calls, and results answers?"""
