"""What a browser sees at the root of the API's port: where everything is."""

from roadstead.console.pages import landing_page

__all__ = ["landing_page"]
