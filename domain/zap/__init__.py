"""What did a user design, and which version of it is live?"""
