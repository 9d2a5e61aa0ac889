"""Which facts live beside the log, because they must be forgettable or fast?"""
