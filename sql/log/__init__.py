"""How are events stored and read?"""
