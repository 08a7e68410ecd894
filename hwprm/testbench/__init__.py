"""What the testbenches in ``sim/`` are made of. Imported inside a simulator, at every start: so it stands on little."""
