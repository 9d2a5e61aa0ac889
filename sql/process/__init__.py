"""What does each process need besides: time, ids, patience, and places to crash in tests?"""
