"""What does a connector declare, and how does an action end?"""
