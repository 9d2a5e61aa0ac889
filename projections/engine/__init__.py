"""How do read models stay equal to the log, and how are they rebuilt?"""
