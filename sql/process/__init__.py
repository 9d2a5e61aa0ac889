"""What does each process get from outside: time, ids, and places to crash in tests?"""
