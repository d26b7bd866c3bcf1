"""Smallest drawings and pictures of a report."""

SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/dtd">'
    '\n<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="504pt" height="324pt" '
    'viewBox="0 0 504 324" xmlns="http://www.w3.org/2000/svg">'
    "<metadata>http://purl.org</metadata>"
    '<defs><path id="mark" d="M 0 0"/></defs><g clip-path="url(#mark)">'
    '<use xlink:href="#mark"/></g></svg>\n'
)


def png(width=1050):
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4, "big") + b"\x00" * 16


def gif(width=480):
    return b"GIF89a" + width.to_bytes(2, "little") + (500).to_bytes(2, "little") + b"\x00" * 16
