"""What is made of what the observer is told: metrics, traces and the lines of requests."""
