"""Who learns that runs fail, and what have they done about it?"""
