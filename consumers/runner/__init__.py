"""How is a run carried on, step by step, until it ends or waits?"""
