"""How are messages read from somebody else's Kafka, whatever it sends?"""
