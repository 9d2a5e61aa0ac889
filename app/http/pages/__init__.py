"""What do people without an account see, and what can they answer?"""
