"""How are values shaped without code?"""
