"""What is new in a tenant's zaps and runs, and who is told of it as it happens?"""
