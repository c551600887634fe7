"""What changes over time: promotion and rollback of models, drift, refresh state, retention."""
