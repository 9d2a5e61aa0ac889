"""How do bytes and texts of strangers become JSON values, safely?"""
