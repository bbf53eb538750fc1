"""The SQL of people, sessions and keys. Every statement names the tenant or the person, for some run as the system."""
