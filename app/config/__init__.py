"""What is set from outside, and what do processes say in their logs?"""
