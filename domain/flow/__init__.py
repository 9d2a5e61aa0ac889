"""What kinds of steps are there, and what happens when one fails?"""
