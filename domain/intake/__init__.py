"""What becomes of a request that starts no run?"""
