"""Does a connector do what its file says, against a stand-in of its service?"""
