"""How are messages read from somebody else's Kafka and written to it, whatever it sends?"""
