"""`roadstead up`: the embedded servers, the roles, and what keeps them running."""
