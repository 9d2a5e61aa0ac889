"""What does a client hear when something is refused?"""
