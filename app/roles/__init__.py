"""Which processes are there, and what does each need to start?"""
