"""Which files may the steps of a run use, and which does it keep?"""
