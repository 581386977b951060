"""The API over real parts: uvicorn on a port of its own, real stores."""
