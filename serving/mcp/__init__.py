"""The platform for agents, by the Model Context Protocol: tools, resources and prompts over the routes of `/v1`."""
