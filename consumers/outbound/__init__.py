"""How does a request leave this system, and who may be reached?"""
