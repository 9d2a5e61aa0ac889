"""What happens between a webhook and its answer?"""
