"""The capture process: pictures in, frames and display pictures out."""
