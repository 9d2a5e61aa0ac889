"""What do templates and conditions that users write mean?"""
