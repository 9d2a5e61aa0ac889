"""What does a zap remember from one run to the next?"""
