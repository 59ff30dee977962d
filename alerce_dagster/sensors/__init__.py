"""When things happen by themselves: schedules and sensors. They plan; the work is in the assets and jobs they start."""
