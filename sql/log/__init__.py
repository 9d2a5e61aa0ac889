"""How are events stored, read and proven unchanged?"""
