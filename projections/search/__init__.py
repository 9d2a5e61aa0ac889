"""How is the search index of runs kept, and how is it asked?"""
