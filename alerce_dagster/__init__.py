"""An astronomical alert broker: alert packets in, classified objects out, orchestrated by Dagster."""
