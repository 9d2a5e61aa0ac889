"""What does each process need besides: time, ids, patience, children, and places to crash in tests?"""
