"""What have users stored to call others with, which zaps name it, and is it let in?"""
