"""How can anyone check that an event is in the log as it was written?"""
