"""What is a file, and how is it spoken of in JSON?"""
