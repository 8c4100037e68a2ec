"""features: rows of history into the lake, and the proof that stream and history are one."""
