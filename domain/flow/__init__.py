"""What kinds of steps are there, which one is next, and what happens when one fails?"""
