"""What goes on now: one snapshot a second, for the API, the pages and the WebSocket."""
