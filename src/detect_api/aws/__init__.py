"""Setting up and trying out an S3 for the service: bucket, policy, user or role, checks, costs.

For the person who operates the service; the service itself never imports it.
"""
