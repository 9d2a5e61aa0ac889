"""How does a credential get into a request at the moment when it leaves, and nowhere else?"""
