"""How does a run have other runs do its work, and how does it learn how they ended?"""
