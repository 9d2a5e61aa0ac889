"""Which facts are stored beside the log, because they must be deletable or fast?"""
