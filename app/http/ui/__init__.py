"""What does a browser load to show the web UI?"""
