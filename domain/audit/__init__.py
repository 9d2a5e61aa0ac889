"""What do people read of who did what?"""
