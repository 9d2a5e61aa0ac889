"""Who is told that a zap fails, and how?"""
