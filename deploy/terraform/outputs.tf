output "settings" {
  description = "Settings of the service, for .env."
  value = {
    ENABLE_S3         = "true"
    S3_BUCKET_NAME    = aws_s3_bucket.videos.id
    AWS_REGION        = aws_s3_bucket.videos.region
    S3_VIDEO_PREFIX   = var.prefix
    S3_USE_ACCELERATE = tostring(var.accelerate)
  }
}

output "policy_arn" {
  description = "ARN of the policy, to attach to a role or user of your own."
  value       = aws_iam_policy.service.arn
}

output "role_arn" {
  description = "ARN of the role, where one was asked for."
  value       = one(aws_iam_role.service[*].arn)
}

output "instance_profile" {
  description = "Name of the instance profile, for EC2."
  value       = one(aws_iam_instance_profile.service[*].name)
}
