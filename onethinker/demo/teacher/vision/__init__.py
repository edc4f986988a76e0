"""Classical computer vision: from pixels to coloured blobs, lines of text and tracks."""
