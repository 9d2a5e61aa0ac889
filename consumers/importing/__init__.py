"""How is a document of megabytes read without harm to whoever asks?"""
