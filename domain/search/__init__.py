"""What can be asked of past runs, and which values of a run answer?"""
