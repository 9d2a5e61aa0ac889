"""What do the zaps of a workspace share: credentials, where these may go, and variables?"""
