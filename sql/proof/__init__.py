"""How is the log proven unchanged?"""
