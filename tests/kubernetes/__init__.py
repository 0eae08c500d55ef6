"""deploy/kubernetes, put together by kustomize, and held against the API and the service."""
