"""Who sent this request, is it really theirs, and which delivery is it?"""
