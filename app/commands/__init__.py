"""What can a user change?"""
