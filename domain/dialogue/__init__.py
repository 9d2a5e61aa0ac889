"""What can be asked of servers that speak no HTTP?"""
