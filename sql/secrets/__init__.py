"""How are secrets kept, so that the database alone reveals none?"""
