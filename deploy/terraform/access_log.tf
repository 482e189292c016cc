# Only with var.log_bucket.

resource "aws_s3_bucket" "log" {
  count  = var.log_bucket == "" ? 0 : 1
  bucket = var.log_bucket
}

resource "aws_s3_bucket_public_access_block" "log" {
  count                   = length(aws_s3_bucket.log)
  bucket                  = aws_s3_bucket.log[0].id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "log" {
  count = length(aws_s3_bucket.log)

  statement {
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.log[0].arn}/${var.bucket}/*"]

    principals {
      type        = "Service"
      identifiers = ["logging.s3.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [aws_s3_bucket.videos.arn]
    }
  }
}

resource "aws_s3_bucket_policy" "log" {
  count  = length(aws_s3_bucket.log)
  bucket = aws_s3_bucket.log[0].id
  policy = data.aws_iam_policy_document.log[0].json
}

resource "aws_s3_bucket_lifecycle_configuration" "log" {
  count  = length(aws_s3_bucket.log)
  bucket = aws_s3_bucket.log[0].id

  rule {
    id     = "detect-api-access-logs-${var.bucket}"
    status = "Enabled"

    filter {
      prefix = "${var.bucket}/"
    }

    expiration {
      days = 90
    }
  }
}

resource "aws_s3_bucket_logging" "videos" {
  count         = length(aws_s3_bucket.log)
  bucket        = aws_s3_bucket.videos.id
  target_bucket = aws_s3_bucket.log[0].id
  target_prefix = "${var.bucket}/"
  depends_on    = [aws_s3_bucket_policy.log]
}
