"""Requests and answers: what is asked, how bodies are received and read, how streams of events are written."""
