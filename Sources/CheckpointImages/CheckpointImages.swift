// CheckpointImages
