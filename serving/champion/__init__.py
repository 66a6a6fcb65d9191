"""The served champion: loaded, tried in a child process, warmed up and watched for drift."""
