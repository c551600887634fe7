"""What every other package may use: configuration, errors, progress, text, MLflow access, plotting."""
