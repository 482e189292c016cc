"""What runs in the decoding child: everything that touches the bytes of a video."""
