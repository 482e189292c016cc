# The least that the service needs, as `detect-api s3 policy` prints it. No user and no access key:
# the key would lie in Terraform's state. Outside AWS, `detect-api s3 iam --user` makes both.

data "aws_iam_policy_document" "service" {
  statement {
    sid       = "DetectApiObjects"
    resources = ["${aws_s3_bucket.videos.arn}/${var.prefix}*"]
    actions = [
      "s3:PutObject",
      "s3:GetObject",
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:AbortMultipartUpload",
      "s3:ListMultipartUploadParts",
    ]
  }

  statement {
    sid       = "DetectApiBucket"
    resources = [aws_s3_bucket.videos.arn]
    actions   = ["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"]
  }
}

resource "aws_iam_policy" "service" {
  name_prefix = "detect-api-videos-"
  policy      = data.aws_iam_policy_document.service.json
}

locals {
  trusted = {
    ec2 = "ec2.amazonaws.com"
    ecs = "ecs-tasks.amazonaws.com"
    eks = "pods.eks.amazonaws.com"
  }
}

data "aws_iam_policy_document" "trust" {
  count = var.trust == "" ? 0 : 1

  statement {
    actions = var.trust == "eks" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [local.trusted[var.trust]]
    }
  }
}

resource "aws_iam_role" "service" {
  count              = var.trust == "" ? 0 : 1
  name_prefix        = "detect-api-"
  assume_role_policy = data.aws_iam_policy_document.trust[0].json
}

resource "aws_iam_role_policy_attachment" "service" {
  count      = length(aws_iam_role.service)
  role       = aws_iam_role.service[0].name
  policy_arn = aws_iam_policy.service.arn
}

resource "aws_iam_instance_profile" "service" {
  count       = var.trust == "ec2" ? 1 : 0
  name_prefix = "detect-api-"
  role        = aws_iam_role.service[0].name
}
