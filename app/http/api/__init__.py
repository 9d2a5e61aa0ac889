"""Which routes does the API have?"""
