"""What does the file of a connector say, and what follows from it?"""
