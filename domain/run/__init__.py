"""What happened in one run, and what follows next?"""
