# The bucket as `detect-api s3 setup` makes it; tests/unit/test_aws_files.py compares the two.

resource "aws_s3_bucket" "videos" {
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "videos" {
  bucket                  = aws_s3_bucket.videos.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "videos" {
  bucket = aws_s3_bucket.videos.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "videos" {
  bucket = aws_s3_bucket.videos.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_cors_configuration" "videos" {
  count  = length(var.origins) > 0 ? 1 : 0
  bucket = aws_s3_bucket.videos.id

  cors_rule {
    id              = "detect-api-uploads"
    allowed_origins = var.origins
    allowed_methods = ["GET", "HEAD", "POST", "PUT"]
    allowed_headers = ["*"]
    expose_headers  = ["ETag"]
    max_age_seconds = 3600
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "videos" {
  bucket     = aws_s3_bucket.videos.id
  depends_on = [aws_s3_bucket_versioning.videos]

  rule {
    id     = "detect-api-leftovers"
    status = "Enabled"

    filter {
      prefix = var.prefix
    }

    expiration {
      expired_object_delete_marker = true
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 14
    }
  }

  # A rule cannot make exceptions. A video's key goes on with its date, so with a 2; the pictures of
  # plates lie under evidence/ and stay.
  dynamic "rule" {
    for_each = var.expire_days > 0 ? [var.expire_days] : []

    content {
      id     = "detect-api-expire-videos"
      status = "Enabled"

      filter {
        prefix = "${var.prefix}2"
      }

      expiration {
        days = rule.value
      }
    }
  }

  dynamic "rule" {
    for_each = var.expire_picture_days > 0 ? [var.expire_picture_days] : []

    content {
      id     = "detect-api-expire-pictures"
      status = "Enabled"

      filter {
        prefix = "${var.prefix}evidence/"
      }

      expiration {
        days = rule.value
      }
    }
  }
}

resource "aws_s3_bucket_accelerate_configuration" "videos" {
  count  = var.accelerate ? 1 : 0
  bucket = aws_s3_bucket.videos.id
  status = "Enabled"
}
