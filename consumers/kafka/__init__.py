"""How does a consumer read the topic without losing its place?"""
