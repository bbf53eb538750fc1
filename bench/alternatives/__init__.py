"""What one would put together instead: a broker and a small program that writes what it hears."""
