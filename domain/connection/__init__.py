"""What may a zap call others with, and where may that be sent?"""
