"""The SQL of applications; nobody else imports it."""
