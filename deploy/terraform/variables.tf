variable "bucket" {
  description = "Name of the bucket for videos and pictures."
  type        = string
}

variable "prefix" {
  description = "Prefix of all keys: the service's S3_VIDEO_PREFIX."
  type        = string
  default     = "videos/"

  validation {
    condition     = can(regex("^[^/].*/$", var.prefix))
    error_message = "The prefix must end with a slash and not begin with one."
  }
}

variable "origins" {
  description = "Origins whose pages may upload, such as https://example.org. None: no CORS rule."
  type        = list(string)
  default     = []
}

variable "expire_days" {
  description = "Delete videos after so many days. 0: keep them."
  type        = number
  default     = 0
}

variable "expire_picture_days" {
  description = "Delete the pictures of plates after so many days. 0: keep them."
  type        = number
  default     = 0
}

variable "noncurrent_days" {
  description = "Days that deleted and overwritten objects are kept."
  type        = number
  default     = 1
}

variable "accelerate" {
  description = "Transfer Acceleration. The bucket's name must have no dots then."
  type        = bool
  default     = false
}

variable "log_bucket" {
  description = "Bucket for the access log, made here. None if empty."
  type        = string
  default     = ""
}

variable "trust" {
  description = "Who may use the role with the policy: ec2, ecs, eks. No role if empty."
  type        = string
  default     = ""

  validation {
    condition     = contains(["", "ec2", "ecs", "eks"], var.trust)
    error_message = "Take ec2, ecs or eks."
  }
}
