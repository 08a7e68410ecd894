"""The steps that the main job and the rows of the papers are made of; each is one function of a `Task`."""
