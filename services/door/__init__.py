"""What is alike at every HTTP door: problem documents, bodies, the guard, the listening socket.

A room's own reasons, routes and views are its own; a room without HTTP needs none of this.
"""
