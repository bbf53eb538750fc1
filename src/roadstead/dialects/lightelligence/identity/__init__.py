"""The identity provider of the dialect: OpenID Connect as its clients know it (contract section 3)."""

from roadstead.dialects.lightelligence.identity.routes import ROUTERS

__all__ = ["ROUTERS"]
