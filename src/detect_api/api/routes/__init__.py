"""The routes, a module per part of the contract. Each request is one transaction."""
