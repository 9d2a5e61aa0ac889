"""How does a large body become files while it arrives?"""
