"""How do runs that are over become a file, and how do they come back?"""
