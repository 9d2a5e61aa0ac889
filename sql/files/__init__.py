"""Where are the bytes of files, and who says how long?"""
