"""How does the description of an API become a connector?"""
