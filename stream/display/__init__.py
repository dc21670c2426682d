"""Where finished canvases go: a video file, a web page, or nowhere."""
