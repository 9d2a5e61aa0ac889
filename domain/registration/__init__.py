"""What do the services know of the zaps that they start?"""
