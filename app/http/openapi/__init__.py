"""What does the API say about itself to programs?"""
