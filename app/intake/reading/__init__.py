"""What has a sender sent, and is it authentic?"""
