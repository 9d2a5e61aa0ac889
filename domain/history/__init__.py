"""What has changed from one state of things to another?"""
