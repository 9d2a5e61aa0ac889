"""What is an event, and what may anyone ask of the log?"""
