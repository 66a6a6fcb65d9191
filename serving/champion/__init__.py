"""The champion that answers: loaded, tried in a child process, warmed up and watched for drift."""
