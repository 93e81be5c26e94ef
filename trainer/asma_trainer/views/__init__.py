"""What a network is shown: streams of a batch, random changes, masks."""
