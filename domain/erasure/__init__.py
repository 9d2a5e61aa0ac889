"""What is left of a run once what it was about is forgotten?"""
